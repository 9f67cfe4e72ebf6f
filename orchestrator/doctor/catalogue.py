"""Every check there is, in the order in which a person reads them: the machine first, the running stack last."""

from __future__ import annotations

from orchestrator.doctor.check import Check
from orchestrator.doctor.checks import disk, docker, gpu, host, network, plan, secrets

CHECKS: tuple[Check, ...] = (
    *host.CHECKS,
    *disk.CHECKS,
    *gpu.CHECKS,
    *docker.CHECKS,
    *network.CHECKS,
    *secrets.CHECKS,
    *plan.CHECKS,
)
