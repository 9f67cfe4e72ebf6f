"""Where a service will run, so that its builder need not know which engine renders it. Pure."""

from __future__ import annotations

import msgspec

from orchestrator.plan.records import Role


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and paths as the service itself sees them."""

    container: bool
    listen: dict[Role, str]
    ports: dict[Role, int]
    """The port that each service listens on."""
    published_host: str
    published_ports: dict[Role, int]
    hosts: dict[Role, str]
    """The host name under which the other services reach this one: `127.0.0.1`, or the service's name."""
    data: dict[Role, str]
    """The service's own persistent folder as it sees it; on the host (native) or in the container."""
    volumes: dict[Role, str]
    """Container only: the named volume behind `data`."""
    model_path: str
    """The weights (folder or file) as the embedding server sees them; a tag for Ollama."""
    model_mount_source: str | None
    """Container only: the host folder that holds the weights, mounted read-only."""

    def url_of(self, role: Role) -> str:
        """Base URL of another service, without a trailing slash (a slash there breaks Open WebUI: facts 8)."""
        return f"http://{self.hosts[role]}:{self.ports[role]}"
