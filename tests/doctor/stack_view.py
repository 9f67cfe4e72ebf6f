"""A stack view over stand-ins: what runs, where it answers and what is rendered is the test's choice."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.context import StackView
from orchestrator.engines.engine import Running
from orchestrator.verify.run import Addresses, Keys

CHECKS_OF_A_STACK = tuple(check for check in CHECKS if check.stage == "stack" or check.area == "model")
"""Those that can change colour with a stack; the machine's own have their tests elsewhere."""


def running(role: str = "embeddings", **changes: Any) -> Running:
    return Running(**{"role": role, "state": "running", "pid": os.getpid(), **changes})


def view_of(url: str | None = None, **changes: Any) -> StackView:
    """The embedding server alone at `url`, everything well."""

    def nothing() -> None:
        return None

    fields: dict[str, Any] = {
        "files": (),
        "plan_is_current": True,
        "addresses": Addresses(embeddings=url),
        "keys": Keys,
        "desired": None,
        "observe": lambda: (running(),),
        "logs": lambda role, lines: [],
        "redact": lambda text: text,
        "alone": nullcontext,
        "rewire": nothing,
        "render": nothing,
        **changes,
    }
    return StackView(**fields)
