"""What the engine says of a stack's containers. All are found by the project's label: nothing else is touched."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestrator.engines.compose_docker import connect, explanation_of
from orchestrator.engines.engine import Running, RunState
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Role

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
STOP_S = 10
"""Docker's default grace."""
NEVER = "0001-01-01T00:00:00Z"
"""The engine's time for a container that was never started."""
STATES: dict[str, RunState] = {
    "created": "starting",
    "running": "running",
    "paused": "running",
    "restarting": "restarting",
    "removing": "exited",
    "exited": "exited",
    "dead": "exited",
}


def containers_of(client: DockerClient, project: str) -> dict[str, Container]:
    """Compose service → its container, running or not."""
    found = client.containers.list(all=True, filters={"label": f"{PROJECT}={project}"}, ignore_removed=True)
    return {container.labels[SERVICE]: container for container in found if SERVICE in container.labels}


def running_of(client: DockerClient, role: Role, container: Container) -> Running:
    state: dict[str, Any] = container.attrs["State"]
    status = STATES.get(state["Status"], "exited")
    if status == "starting" and state.get("Error"):
        status = "exited"  # refused by the engine (port busy, no GPU driver): left in `created`
    # A stopped container is `unhealthy` to the engine; that says nothing about the service.
    health = (state.get("Health") or {}).get("Status") if status == "running" else None
    return Running(
        role=role,
        state=status,
        pid=state.get("Pid") or None,
        container=container.name,
        started_at=_time(state.get("StartedAt", NEVER)),
        exit_code=None if status in ("running", "starting") else state.get("ExitCode"),
        restarts=container.attrs.get("RestartCount", 0),
        out_of_memory=bool(state.get("OOMKilled")) or (health != "healthy" and _killed_a_child(client, container)),
        healthy=None if health in (None, "none", "starting") else health == "healthy",
        image_id=container.attrs.get("Image"),
    )


def last_probe(name: str) -> str:
    """What the health check of this container last printed; for an `unhealthy` that gives no reason."""
    from docker.errors import DockerException

    try:
        health = connect().containers.get(name).attrs["State"].get("Health") or {}
    except DockerException as error:
        return explanation_of(error)
    log = health.get("Log") or [{}]
    return f"exit {log[-1].get('ExitCode')}: {str(log[-1].get('Output', '')).strip()[-300:]}"


def mounts_of(name: str) -> dict[str, tuple[str, str]]:
    """Path in the container → (volume or bind, its name or the host's path), as the engine mounted them."""
    mounts = connect().containers.get(name).attrs["Mounts"]
    return {each["Destination"]: (each["Type"], each.get("Name") or each.get("Source", "")) for each in mounts}


def sweep(client: DockerClient, project: str, *, volumes: bool) -> None:
    """Remove what a lost or damaged compose.yaml no longer names; dependents before those they depend on."""
    from docker.errors import APIError

    label = {"label": f"{PROJECT}={project}"}
    try:
        for container in sorted(containers_of(client, project).values(), key=_depends_on, reverse=True):
            container.stop(timeout=container.attrs["Config"].get("StopTimeout") or STOP_S)
            container.remove()
        for network in client.networks.list(filters=label):
            network.remove()
        for volume in client.volumes.list(filters=label) if volumes else ():
            volume.remove()
    except APIError as error:
        raise OrchestratorError(
            "docker_refused",
            f"the engine did not remove everything of {project}",
            remedy=f"docker ps --all --filter label={PROJECT}={project} shows what is left",
            evidence=explanation_of(error),
        ) from None


def _depends_on(container: Container) -> str:
    """Compose's own label: empty for a service that needs no other."""
    return container.labels.get("com.docker.compose.depends_on", "")


def _killed_a_child(client: DockerClient, container: Container) -> bool:
    """OOMKilled is about the main process only; vLLM works in children, whose end only the events tell (facts 3.3)."""
    events = client.events(
        since=container.attrs["Created"],
        until=datetime.now(UTC),
        filters={"container": container.id, "event": "oom"},
        decode=True,
    )
    try:
        return any(True for _ in events)
    finally:
        events.close()


def _time(stamp: str) -> datetime | None:
    """The engine writes nanoseconds; Python reads microseconds."""
    if stamp == NEVER:
        return None
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6] or '0':0<6}").replace(tzinfo=UTC)
