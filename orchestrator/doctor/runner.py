"""Runs checks side by side, each bounded in time, none before what it needs. Printing is the observer's."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from orchestrator.doctor.check import Answer, Check
from orchestrator.doctor.context import Context
from orchestrator.errors import OrchestratorError
from orchestrator.result import Finding, Remedy, Verdict

Observer = Callable[[Finding], None]
Starter = Callable[[Check], None]
AT_ONCE = 16
HOLDS: tuple[Verdict, ...] = ("pass", "warn", "fixed")
"""Verdicts that let the checks behind go on."""


def run_checks(
    checks: Iterable[Check],
    context: Context,
    observe: Observer = lambda finding: None,
    *,
    starting: Starter = lambda check: None,
    known: Iterable[Finding] = (),
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Finding, ...]:
    """One finding for each check, in the order of `checks`; `observe` is told each as soon as it is known.

    `starting` is told of a check before it is asked. `known` are findings of an earlier run that stand in for needs
    which are not among `checks`; any other such need is taken to hold: who asks for one check wants its answer.
    """
    run = _Run(tuple(checks), context, observe=observe, starting=starting, known=known, clock=clock)
    while not run.done():
        run.skip_blocked()
        run.start_free()
        run.wait()
    return tuple(run.findings[check.id] for check in run.checks)


class _Run:
    """The state of one run; only the calling thread touches it. Checks answer through a queue."""

    def __init__(
        self,
        checks: tuple[Check, ...],
        context: Context,
        *,
        observe: Observer,
        starting: Starter,
        known: Iterable[Finding],
        clock: Callable[[], float],
    ) -> None:
        self.checks, self.context, self.clock = checks, context, clock
        self.observe, self.starting = observe, starting
        self.earlier = {finding.id: finding for finding in known}
        self.waiting = {check.id: check for check in checks}
        self.running: dict[str, tuple[Check, float]] = {}
        self.findings: dict[str, Finding] = {}
        self.answers: queue.SimpleQueue[tuple[str, object]] = queue.SimpleQueue()

    def done(self) -> bool:
        return not self.waiting and not self.running

    def skip_blocked(self) -> None:
        """Again and again, as a skip blocks others in turn; a circle of needs blocks itself."""
        while blocked := [check for check in self.waiting.values() if self._blocker(check) is not None]:
            for check in blocked:
                self._conclude(_blocked(check, self._judged()[str(self._blocker(check))]))
        if self.waiting and not self.running and not any(self._free(check) for check in self.waiting.values()):
            for check in tuple(self.waiting.values()):
                self._conclude(_broken(check, f"its needs form a circle: {', '.join(check.needs)}"))

    def start_free(self) -> None:
        for check in tuple(self.waiting.values()):
            if len(self.running) >= AT_ONCE:
                return
            if self._free(check):
                del self.waiting[check.id]
                self.running[check.id] = (check, self.clock() + check.timeout_s)
                self.starting(check)
                threading.Thread(target=self._ask, args=(check,), name=check.id, daemon=True).start()

    def wait(self) -> None:
        """For the next answer, or for the next deadline."""
        if not self.running:
            return
        left_s = min(deadline for _, deadline in self.running.values()) - self.clock()
        try:
            name, answer = self.answers.get(timeout=max(left_s, 0))
        except queue.Empty:
            for check, deadline in tuple(self.running.values()):
                if self.clock() >= deadline:
                    self._conclude(_broken(check, f"it did not answer within {check.timeout_s:g} s"))
            return
        if name in self.running:  # else its time was over before it answered
            self._conclude(_finding(self.running[name][0], answer))

    def _ask(self, check: Check) -> None:
        """In its own thread. A thread that never ends is left behind: it is a daemon, and its answer is not read."""
        try:
            answer: object = _answer(check, self.context)
        except BaseException as error:
            answer = error
        self.answers.put((check.id, answer))

    def _conclude(self, finding: Finding) -> None:
        self.waiting.pop(finding.id, None)
        self.running.pop(finding.id, None)
        self.findings[finding.id] = finding
        self.observe(finding)

    def _blocker(self, check: Check) -> str | None:
        judged = self._judged()
        return next((need for need in check.needs if need in judged and judged[need].verdict not in HOLDS), None)

    def _judged(self) -> Mapping[str, Finding]:
        """What is known of each check by now; while one is asked again, its earlier answer does not count."""
        open_ones = self.waiting.keys() | self.running.keys()
        return {name: found for name, found in (self.earlier | self.findings).items() if name not in open_ones}

    def _free(self, check: Check) -> bool:
        return not any(need in self.waiting or need in self.running for need in check.needs)


def _answer(check: Check, context: Context) -> object:
    if check.stage != "host" and context.plan is None:
        return Answer(verdict="skip", reason=context.no_plan)
    if check.stage == "stack" and context.stack is None:
        return Answer(verdict="skip", reason=f"no stack named {context.spec.stack} runs here")
    answer = check.answer(context)
    return _of_this_stack(answer, context) if isinstance(answer, Answer) else answer


def _of_this_stack(answer: Answer, context: Context) -> Answer:
    return msgspec.structs.replace(answer, remedy=answer.remedy.for_stack(context.spec.stack))


def _finding(check: Check, answer: object) -> Finding:
    if isinstance(answer, BaseException):
        return _raised(check, answer)
    if not isinstance(answer, Answer):
        return _broken(check, f"it answered {answer!r}, which is no answer")
    verdict: Verdict = check.severity if answer.verdict == "bad" else answer.verdict
    if verdict not in ("pass", "warn", "fail", "skip"):
        return _broken(check, f"it answered with the verdict {verdict!r}")
    if verdict == "pass" and not answer.evidence:
        return _broken(check, "it passed without saying what it read")
    if verdict in ("warn", "fail") and not (answer.reason and (answer.remedy.text or answer.remedy.commands)):
        return _broken(check, f"it answered {verdict} without a reason or without a remedy ({answer.evidence})")
    return Finding(
        id=check.id,
        verdict=verdict,
        question=check.question,
        evidence=answer.evidence,
        reason=answer.reason,
        remedy=answer.remedy,
        docs=check.docs,
    )


def blocker_of(finding: Finding) -> str | None:
    """The check at the root of a skip; None where nothing blocked it."""
    blocked = finding.verdict == "skip" and finding.evidence.startswith(BLOCKED)
    return finding.evidence.removeprefix(BLOCKED) if blocked else None


def _blocked(check: Check, blocker: Finding) -> Finding:
    """Names the check at the root, not the one that was itself only skipped."""
    root = blocker_of(blocker)
    return Finding(
        id=check.id,
        verdict="skip",
        question=check.question,
        evidence=f"{BLOCKED}{root or blocker.id}",
        reason=blocker.reason if root else f"{blocker.id} must hold first ({blocker.verdict})",
        docs=check.docs,
    )


def _raised(check: Check, error: BaseException) -> Finding:
    """Where it was raised is the evidence: nobody sees the traceback of a thread."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"raised in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    remedy = error.remedy if isinstance(error, OrchestratorError) else ""
    return _broken(check, f"{type(error).__name__}: {error}", where, remedy)


def _broken(check: Check, reason: str, evidence: str = "", remedy: str = "") -> Finding:
    return Finding(
        id=check.id,
        verdict="error",
        question=check.question,
        evidence=evidence,
        reason=f"the check itself broke: {reason}",
        remedy=Remedy(text=remedy or "report it, with the archive that `orchestrator doctor --report FILE` writes"),
        docs=check.docs,
    )


BLOCKED = "blocked by "
