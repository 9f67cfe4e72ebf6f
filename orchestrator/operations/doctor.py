"""`doctor`: every check that applies, asked of the machine as it is now; what can be fixed safely, fixed on request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import msgspec

from orchestrator.doctor.check import Check, Stage
from orchestrator.doctor.context import Context
from orchestrator.doctor.fixing import apply_fixes
from orchestrator.doctor.repeating import Rounds, run_until_settled
from orchestrator.doctor.report_archive import check_ending
from orchestrator.doctor.selection import Selection, choose
from orchestrator.doctor.watch import Stopwatch, Watch
from orchestrator.errors import EXIT_OK, EXIT_TOOL, EXIT_VERDICT, OrchestratorError
from orchestrator.operations.doctor_context import context_of, machine_context
from orchestrator.operations.doctor_report import write_report
from orchestrator.plan.spec import Spec
from orchestrator.result import Finding, Result, Verdict
from orchestrator.state import StackFolder

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
PRE_STAGES: tuple[Stage, ...] = ("host",)
ALL_STAGES: tuple[Stage, ...] = ("host", "plan", "stack")
LENIENT: tuple[Verdict, ...] = ("fail",)
STRICT: tuple[Verdict, ...] = ("fail", "warn")


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    stack: str = "default"
    selection: Selection = field(default_factory=Selection)
    stages: tuple[Stage, ...] = ALL_STAGES
    """`--pre` asks those of the host only, of a machine that need not have a plan."""
    offline: bool = False
    failing: tuple[Verdict, ...] = LENIENT
    """Verdicts that make the exit code 1; `--strict` adds `warn`."""
    wait_s: float = 0.0
    fix: bool = False
    report: Path | None = None
    """Where the archive for others goes; what it holds is then read thoroughly, whatever it takes."""

    @property
    def of_the_machine_alone(self) -> bool:
        return self.stages == PRE_STAGES


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    result: Result
    seconds: dict[str, float]
    """Check's id → how long its answer took."""


def doctor(request: DoctorRequest, watch: Watch) -> Diagnosis:
    from orchestrator.doctor.catalogue import CHECKS

    return diagnose(CHECKS, request, watch)


def diagnose(checks: Collection[Check], request: DoctorRequest, watch: Watch) -> Diagnosis:
    exists = StackFolder(request.stack).exists()  # refuses a name that no stack can have before anything is read
    chosen = choose(checks, request.selection, request.stages if exists else without_a_stack(request.stages))
    if request.report is not None:
        check_ending(request.report.name)
    stopwatch = Stopwatch(watch)
    stopwatch.begins(chosen.wanted)
    for finding in chosen.skipped:
        stopwatch.ends(finding)

    seen: list[Context] = []

    def look() -> Context:
        seen.append(_context(request))
        return seen[-1]

    rounds = Rounds(checks=chosen.asked, look=look, watch=stopwatch)
    findings = run_until_settled(rounds, wait_s=request.wait_s, unsettled=(*request.failing, "error"))
    if request.fix:
        findings = apply_fixes(findings, rounds)
    findings = _in_order(chosen.wanted, (*findings, *chosen.skipped))
    result = _result(request, findings)
    if request.report is not None:
        write_report(request.report, seen[-1], result)
    return Diagnosis(result=result, seconds=stopwatch.seconds)


def without_a_stack(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if stage != "stack")


def _context(request: DoctorRequest) -> Context:
    if request.of_the_machine_alone:
        return machine_context(offline=request.offline)
    try:
        return context_of(request.stack, offline=request.offline, thorough=request.report is not None)
    except OrchestratorError as error:
        # What the stack's folder holds cannot be read: plan.made says so, and the machine can be asked all the same.
        return msgspec.structs.replace(
            machine_context(offline=request.offline),
            spec=Spec(stack=request.stack),
            folder=StackFolder(request.stack),
            no_plan=error.message,
        )


def _in_order(checks: Iterable[Check], findings: Iterable[Finding]) -> tuple[Finding, ...]:
    found = {finding.id: finding for finding in findings}
    return tuple(found[check.id] for check in checks if check.id in found)


def _result(request: DoctorRequest, findings: tuple[Finding, ...]) -> Result:
    counts = Counter(finding.verdict for finding in findings)
    data: dict[str, object] = {
        "stack": request.stack,
        "summary": {verdict: counts[verdict] for verdict in VERDICTS},
        "report": str(request.report) if request.report else None,
    }
    return Result(command="doctor", data=data, findings=findings, exit_code=exit_code(counts, request.failing))


def exit_code(counts: Mapping[Verdict, int], failing: Iterable[Verdict]) -> int:
    """A failure weighs more than a check that broke: it is the user's to act on, the other is ours."""
    if any(counts.get(verdict) for verdict in failing):
        return EXIT_VERDICT
    return EXIT_TOOL if counts.get("error") else EXIT_OK
