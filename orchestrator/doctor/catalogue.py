"""Every check there is, in the order in which a person reads them: the machine first, the running stack last."""

from __future__ import annotations

from orchestrator.doctor.check import Check
from orchestrator.doctor.checks import (
    chroma,
    disk,
    docker,
    drift,
    embedder,
    gpu,
    host,
    model,
    network,
    plan,
    round_trip,
    secrets,
    stack,
    versions,
    webui,
)

CHECKS: tuple[Check, ...] = (
    *host.CHECKS,
    *disk.CHECKS,
    *gpu.CHECKS,
    *docker.CHECKS,
    *network.CHECKS,
    *secrets.CHECKS,
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
