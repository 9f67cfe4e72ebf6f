"""The checks that guard `up`, the same functions as `doctor`: what is fatal for the plan stops it in time."""

from __future__ import annotations

from orchestrator.doctor.context import Context
from orchestrator.doctor.guards import guards_of
from orchestrator.doctor.runner import run_checks
from orchestrator.errors import OrchestratorError
from orchestrator.operations.planning import Decided, facts_for
from orchestrator.operations.stack import Stack
from orchestrator.progress import Progress
from orchestrator.result import Finding


def guard(stack: Stack, decided: Decided, progress: Progress) -> tuple[Finding, ...]:
    progress.step("check this machine")
    facts = decided.facts or facts_for(decided.intent.spec, stack.folder)
    context = Context(
        spec=decided.intent.spec,
        facts=facts,
        plan=stack.plan,
        folder=stack.folder,
        running=stack.engine.observe(),
    )
    findings = run_checks(guards_of(stack.plan), context)
    for finding in findings:
        if finding.verdict == "warn":
            progress.note(f"{finding.id}: {finding.reason}")
    fatal = [finding for finding in findings if finding.verdict in ("fail", "error")]
    if fatal:
        first = fatal[0]
        raise OrchestratorError(
            first.id.replace(".", "_"),
            "; ".join(finding.reason for finding in fatal),
            remedy="; ".join(" ".join((f.remedy.text, *f.remedy.commands)).strip() for f in fatal),
            evidence="; ".join(f"{f.id}: {f.evidence}" for f in fatal),
            findings=findings,
        )
    return findings
