"""Ports for a plan that nobody else on this machine takes while a test compares two looks at it."""

from __future__ import annotations

import random
from typing import get_args

from orchestrator.doctor.checks.network import bind_error
from orchestrator.plan.records import Role

BELOW_THE_KERNELS = range(20_000, 32_000)
"""Linux gives the source ports of connections from 32768 on: a port from there can be gone at the second look."""


def quiet_ports() -> dict[Role, int]:
    ports: set[int] = set()
    while len(ports) < len(get_args(Role)):
        port = random.choice(BELOW_THE_KERNELS)
        if bind_error("0.0.0.0", port) is None:
            ports.add(port)
    return dict(zip(get_args(Role), sorted(ports), strict=True))
