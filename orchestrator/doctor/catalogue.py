"""Every check there is, in the order in which a person reads them: the machine first, the running stack last."""

from __future__ import annotations

from orchestrator.doctor.check import Check
from orchestrator.doctor.checks import (
    chroma,
    decision,
    disk,
    docker,
    docker_file,
    docker_kind,
    docker_network,
    drift,
    embedder,
    exposure,
    gpu,
    gpu_health,
    host,
    model,
    network,
    plan,
    round_trip,
    secrets,
    sources,
    stack,
    versions,
    webui,
)

CHECKS: tuple[Check, ...] = (
    *host.CHECKS,
    *disk.CHECKS,
    *gpu.CHECKS,
    *gpu_health.CHECKS,
    *docker.CHECKS,
    *docker_kind.CHECKS,
    *docker_network.CHECKS,
    *docker_file.CHECKS,
    *network.CHECKS,
    *exposure.CHECKS,
    *secrets.CHECKS,
    *sources.CHECKS,
    *decision.CHECKS,
    *model.CHECKS,
    *plan.CHECKS,
    *drift.CHECKS,
    *stack.CHECKS,
    *versions.CHECKS,
    *embedder.CHECKS,
    *chroma.CHECKS,
    *webui.CHECKS,
    *round_trip.CHECKS,
)
