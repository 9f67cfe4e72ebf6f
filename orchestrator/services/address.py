"""Where a service is reached from the host."""

from __future__ import annotations

from orchestrator.plan.records import Role
from orchestrator.services.place import Place

LOOPBACK = "127.0.0.1"
EVERY_HOST = ("0.0.0.0", "::")  # noqa: S104 (compared, not bound)


def published_host(place: Place, role: Role) -> str:
    """Only Open WebUI may be shown to other machines: Chroma has no authentication at all (facts/open-webui 2) and

    vLLM answers `/pooling` and `/invocations` without its key (facts/embedding-servers 1.6)."""
    return place.published_host if role == "webui" else LOOPBACK
