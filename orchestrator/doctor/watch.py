"""Who watches a run of the doctor: a terminal, a pipe, a stopwatch. Running and printing stay apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from orchestrator.doctor.check import Check, Fix
from orchestrator.result import Finding


class Watch(Protocol):
    def begins(self, checks: Iterable[Check]) -> None:
        """These will be asked; told once, before the first."""

    def starts(self, check: Check) -> None:
        """A check is being asked, perhaps again."""

    def ends(self, finding: Finding) -> None:
        """A check's answer, once it is final: with `--wait` one that does not hold is told when the time is over."""

    def waits(self, unsettled: Iterable[Finding], left_s: float) -> None:
        """These do not hold yet and will be asked again."""

    def fixes(self, check: Check, fix: Fix) -> None:
        """The fix is about to be applied. What it led to comes through `ends`."""


class Silent:
    """For callers that want the findings only. The other watches build on it."""

    def begins(self, checks: Iterable[Check]) -> None:
        return None

    def starts(self, check: Check) -> None:
        return None

    def ends(self, finding: Finding) -> None:
        return None

    def waits(self, unsettled: Iterable[Finding], left_s: float) -> None:
        return None

    def fixes(self, check: Check, fix: Fix) -> None:
        return None


class Stopwatch(Silent):
    """How long each check took, the last time that it was asked; then tells `watch`."""

    def __init__(self, watch: Watch, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch, self._clock = watch, clock
        self._began: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def begins(self, checks: Iterable[Check]) -> None:
        self._watch.begins(checks)

    def starts(self, check: Check) -> None:
        self._began[check.id] = self._clock()
        self._watch.starts(check)

    def ends(self, finding: Finding) -> None:
        if finding.id in self._began:
            self.seconds[finding.id] = self._clock() - self._began[finding.id]
        self._watch.ends(finding)

    def waits(self, unsettled: Iterable[Finding], left_s: float) -> None:
        self._watch.waits(unsettled, left_s)

    def fixes(self, check: Check, fix: Fix) -> None:
        self._watch.fixes(check, fix)
