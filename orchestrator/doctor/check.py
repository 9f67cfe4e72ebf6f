"""A check is data: what it asks, what it reads, what must hold before it makes sense, and the function that answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from orchestrator.doctor.context import Context
from orchestrator.result import Remedy

Area = Literal["host", "gpu", "container-gpu", "docker", "network", "model", "stack"]
Severity = Literal["fail", "warn"]
Stage = Literal["host", "plan", "stack"]
AnswerVerdict = Literal["pass", "bad", "warn", "skip"]
PAGE = "docs/checks.md"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. `bad` becomes the check's own severity, so that severity stands in one place."""

    verdict: AnswerVerdict
    evidence: str = ""
    """The value that was read, not an opinion on it."""
    reason: str = ""
    remedy: Remedy = Remedy()


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """What `doctor --fix` may do by itself: safe, reversible, and possible without root. All else is only printed."""

    text: str
    """What it does, printed before it does it."""
    apply: Callable[[Context], None]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    area: Area
    question: str
    """Answered by yes where all is well."""
    reads: tuple[str, ...]
    """The facts behind it, by name; for people who want to look for themselves."""
    needs: tuple[str, ...] = ()
    """Ids of checks that must pass first: one cause gives one failure, and skips behind it."""
    severity: Severity
    """The verdict where it is bad. A bad guard of severity `fail` stops `up` before anything is changed."""
    answer: Callable[[Context], Answer]
    timeout_s: float = 5.0
    stage: Stage = "host"
    """host: needs nothing of ours (`doctor --pre`); plan: needs a plan; stack: needs a running stack."""
    fix: Fix | None = None
    anchor: str = ""
    """Where the page explains it; the id, except for a family of checks."""

    @property
    def docs(self) -> str:
        return f"{PAGE}#{self.anchor or self.id}"


def passed(evidence: str) -> Answer:
    return Answer(verdict="pass", evidence=evidence)


def bad(evidence: str, reason: str, remedy: str, *commands: str) -> Answer:
    return Answer(verdict="bad", evidence=evidence, reason=reason, remedy=Remedy(text=remedy, commands=commands))


def warned(evidence: str, reason: str, remedy: str, *commands: str) -> Answer:
    """Less than the check's severity: worth a word, no reason to stop."""
    return Answer(verdict="warn", evidence=evidence, reason=reason, remedy=Remedy(text=remedy, commands=commands))


def not_applicable(reason: str) -> Answer:
    """Nothing to ask here. What needs this check is not asked either."""
    return Answer(verdict="skip", reason=reason)
