"""All facts, read once and together. Nothing here raises, and nothing can hold the caller up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator import state
from orchestrator.catalog.pins import load_pins
from orchestrator.facts.cached import read_cached
from orchestrator.facts.deadline import read_together
from orchestrator.facts.docker import read_docker
from orchestrator.facts.gpu import read_gpus
from orchestrator.facts.host import disk_space, read_host
from orchestrator.facts.network import read_sources
from orchestrator.facts.programs import read_programs
from orchestrator.facts.records import (
    CachedModel,
    DiskSpace,
    DockerFacts,
    Facts,
    GpuFacts,
    HostFacts,
    ProgramFacts,
    Reach,
    SourceFacts,
    Unreadable,
)

DEADLINE_S = 3.0
"""For everything together; the network has its own, shorter one. A GPU that hangs its driver ends here."""
ROOT_DEADLINE_S = 0.5


def read_facts(
    *, offline: bool = False, engine: str = "auto", reclaimable_bytes: dict[str, int] | None = None
) -> Facts:
    """What is true of this machine now. With `offline` no source is asked; Docker is not asked for a native stack."""
    models = state.models_folder()
    readers: dict[str, Any] = {
        "sources": lambda: read_sources(offline=offline),
        "docker": read_docker if engine != "native" else _docker_not_asked,
        "gpu": read_gpus,
        "host": lambda: read_host((models,)),
        "programs": lambda: read_programs(load_pins().python),
        "cached": lambda: read_cached(models),
    }
    found = read_together(readers, DEADLINE_S)
    docker = _or(found, "docker", DockerFacts, _docker_failed)
    host = _or(found, "host", HostFacts, lambda _why: read_host())
    return Facts(
        gpu=_or(found, "gpu", GpuFacts, _gpu_failed),
        host=_with_docker_root(host, docker),
        docker=docker,
        sources=_or(found, "sources", SourceFacts, _sources_failed),
        programs=_or(found, "programs", ProgramFacts, lambda _why: ProgramFacts()),
        cached=_cached(found.get("cached")),
        reclaimable_bytes=reclaimable_bytes or {},
    )


def _or(found: dict[str, Any], name: str, kind: type[Any], otherwise: Any) -> Any:
    """The record that a reader made; else what stands for it, with the reason (an exception, or lateness)."""
    value = found.get(name)
    if isinstance(value, kind):
        return value
    late = Unreadable(code="timeout", reason=f"not answered within {DEADLINE_S:g} s")
    broken = Unreadable(code="unreadable", reason=f"{type(value).__name__}: {value}")
    return otherwise(late if value is None else broken)


def _gpu_failed(why: Unreadable) -> GpuFacts:
    return GpuFacts(error=why)


def _docker_failed(why: Unreadable) -> DockerFacts:
    return DockerFacts(usable=False, error=why)


def _docker_not_asked() -> DockerFacts:
    return DockerFacts(usable=False, error=Unreadable(code="not_asked", reason="the native engine was asked for"))


def _sources_failed(why: Unreadable) -> SourceFacts:
    no = Reach(reachable=False, reason=why.reason)
    return SourceFacts(hub=no, ollama=no, pypi=no, registry=no)


def _cached(value: object) -> tuple[CachedModel, ...]:
    return value if isinstance(value, tuple) else ()


def _with_docker_root(host: HostFacts, docker: DockerFacts) -> HostFacts:
    """Images and volumes land under Docker's root, which is often another disk (and may be one that hangs)."""
    import msgspec

    if docker.root_dir is None:
        return host
    root = Path(docker.root_dir)
    space = read_together({"root": lambda: disk_space(root)}, ROOT_DEADLINE_S).get("root")
    return msgspec.structs.replace(host, disk=(*host.disk, space)) if isinstance(space, DiskSpace) else host
