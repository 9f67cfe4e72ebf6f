"""Asking again: what does not hold yet until it does or the time is over, and what a change may have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from orchestrator.doctor.check import Check
from orchestrator.doctor.context import Context
from orchestrator.doctor.runner import Observer, blocker_of, run_checks
from orchestrator.doctor.watch import Watch
from orchestrator.result import Finding, Verdict

EVERY_S = 1.0
"""Between two rounds (estimate: a service that starts changes its answer within seconds, not within milliseconds)."""


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """What all rounds of questions have in common. Each looks at the machine anew: an old reading is an old answer."""

    checks: Collection[Check]
    look: Callable[[], Context]
    watch: Watch

    def first(self, observe: Observer) -> tuple[Finding, ...]:
        return run_checks(self.checks, self.look(), observe, starting=self.watch.starts)

    def again(self, ids: Collection[str], findings: tuple[Finding, ...], observe: Observer) -> tuple[Finding, ...]:
        """The findings with these checks, and those that they blocked, answered anew. All others stand as they were."""
        names = {finding.id for finding in findings if finding.id in ids or blocker_of(finding) in ids}
        asked = [check for check in self.checks if check.id in names]
        anew = run_checks(asked, self.look(), observe, starting=self.watch.starts, known=findings)
        answers = {finding.id: finding for finding in anew}
        return tuple(answers.get(finding.id, finding) for finding in findings)


def run_until_settled(
    rounds: Rounds,
    *,
    wait_s: float,
    unsettled: Collection[Verdict] = ("fail", "error"),
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[Finding, ...]:
    """Every check once; those whose verdict is `unsettled`, with what they block, again until `wait_s` is over."""
    ends = clock() + wait_s
    held_back: list[Finding] = []

    def observe(finding: Finding) -> None:
        """What may still become good is not told yet."""
        if wait_s > 0 and (finding.verdict in unsettled or blocker_of(finding) in {held.id for held in held_back}):
            held_back.append(finding)
        else:
            rounds.watch.ends(finding)

    findings = rounds.first(observe)
    while held_back and (left_s := ends - clock()) > 0:
        open_ones = [finding for finding in held_back if finding.verdict in unsettled]
        rounds.watch.waits(open_ones, left_s)
        pause(min(EVERY_S, left_s))
        held_back.clear()
        findings = rounds.again({finding.id for finding in open_ones}, findings, observe)
    for finding in held_back:
        rounds.watch.ends(finding)
    return findings
