"""A check's record as data: for `doctor --list`, `--explain` and docs/checks.md."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec

from orchestrator.doctor.check import Area, Check, Severity, Stage

RemedyKind = Literal["fix", "text"]

AREA_TITLES: dict[Area, str] = {
    "host": "This machine",
    "gpu": "GPU",
    "container-gpu": "GPU in containers",
    "docker": "Docker",
    "network": "Ports, network, secrets",
    "model": "Model and plan",
    "stack": "Running stack",
}
"""In the order in which a person reads them."""
STAGE_TEXTS: dict[Stage, str] = {
    "host": "the machine alone (`doctor --pre`)",
    "plan": "a plan: the stack's recorded one, else a fresh one",
    "stack": "a stack that is there",
}
REMEDY_TEXTS: dict[RemedyKind, str] = {
    "fix": "`doctor --fix` does it",
    "text": "printed, with the exact commands where there are any; never run by itself",
}


class Described(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    area: Area
    question: str
    reads: tuple[str, ...]
    needs: tuple[str, ...]
    """What blocks it."""
    blocks: tuple[str, ...]
    severity: Severity
    stage: Stage
    timeout_s: float
    remedy: RemedyKind
    fix: str
    """What `--fix` does; empty where it does nothing."""
    docs: str


def described(check: Check, checks: Collection[Check]) -> Described:
    return Described(
        id=check.id,
        area=check.area,
        question=check.question,
        reads=check.reads,
        needs=check.needs,
        blocks=tuple(other.id for other in checks if check.id in other.needs),
        severity=check.severity,
        stage=check.stage,
        timeout_s=check.timeout_s,
        remedy="text" if check.fix is None else "fix",
        fix="" if check.fix is None else check.fix.text,
        docs=check.docs,
    )
