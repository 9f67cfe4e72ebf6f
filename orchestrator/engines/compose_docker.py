"""The door to the Docker engine: one client, the one that the `docker` program would use too (host, context, TLS)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    from docker import DockerClient

ANSWER_S = 60
"""For one answer of the engine; pulls and logs stream and are not bound by it."""


def connect() -> DockerClient:
    import docker
    from docker.errors import DockerException

    try:
        return docker.from_env(timeout=ANSWER_S)
    except DockerException as error:
        raise OrchestratorError(
            "docker_unreachable",
            "no Docker engine answers",
            remedy="start it (systemctl start docker), or let this user use it (usermod -aG docker $USER, then log in "
            "again); or run the stack without Docker: --engine native",
            evidence=str(error),
        ) from None


def explanation_of(error: Exception) -> str:
    """What the engine itself said, without the client's wrapping."""
    detail: Any = getattr(error, "explanation", None)
    return str(detail or error)
