"""`--fix`: applies the fixes that checks carry, one by one, and believes none of them: each check is asked again.

Only what a check holds as `fix` is ever run: safe, reversible, without root. A remedy's commands are for people.
What touches the stack goes through the doors of `StackView`, which take the stack's lock.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from orchestrator.doctor.check import Check, Fix
from orchestrator.doctor.repeating import Rounds
from orchestrator.errors import OrchestratorError
from orchestrator.result import Finding, Verdict

WRONG: tuple[Verdict, ...] = ("fail", "warn")


def apply_fixes(findings: tuple[Finding, ...], rounds: Rounds) -> tuple[Finding, ...]:
    """Each fix at most once; one that lets a blocked check answer may bring up the next."""
    tried: set[str] = set()
    while (found := _next(findings, rounds.checks, tried)) is not None:
        check, fix = found
        tried.add(check.id)
        rounds.watch.fixes(check, fix)
        findings = _fixed(check, fix, findings, rounds)
    return findings


def _next(findings: tuple[Finding, ...], checks: Collection[Check], tried: set[str]) -> tuple[Check, Fix] | None:
    wrong = {finding.id for finding in findings if finding.verdict in WRONG} - tried
    return next(((check, check.fix) for check in checks if check.fix is not None and check.id in wrong), None)


def _fixed(check: Check, fix: Fix, findings: tuple[Finding, ...], rounds: Rounds) -> tuple[Finding, ...]:
    before = next(finding for finding in findings if finding.id == check.id)
    try:
        fix.apply(rounds.look())
    except Exception as error:
        reason = error.message if isinstance(error, OrchestratorError) else f"{type(error).__name__}: {error}"
        failed = msgspec.structs.replace(before, reason=f"{before.reason}; the fix failed: {reason}")
        rounds.watch.ends(failed)
        return tuple(failed if finding.id == check.id else finding for finding in findings)

    def judged(finding: Finding) -> Finding:
        return _after_fix(finding, before) if finding.id == check.id else finding

    again = rounds.again({check.id}, findings, lambda finding: rounds.watch.ends(judged(finding)))
    return tuple(judged(finding) for finding in again)


def _after_fix(finding: Finding, before: Finding) -> Finding:
    if finding.verdict == "pass":
        return msgspec.structs.replace(finding, verdict="fixed", reason=f"it was: {before.evidence}")
    if finding.verdict in WRONG:
        return msgspec.structs.replace(finding, reason=f"still not right after the fix: {finding.reason}")
    return finding
