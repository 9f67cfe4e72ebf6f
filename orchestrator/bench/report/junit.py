"""A run as JUnit: one case a promise, so that a pipeline shows which one was broken."""

from __future__ import annotations

from orchestrator.bench.assessment import Assessment
from orchestrator.bench.report.words import headline, percentile_text, rows_of
from orchestrator.bench.verdict import applies
from orchestrator.junit import Case, junit_xml

SUITE = "orchestrator.bench"


def junit(assessment: Assessment) -> str:
    return junit_xml(SUITE, cases_of_run(assessment))


def cases_of_run(assessment: Assessment) -> tuple[Case, ...]:
    detail = "\n".join(f"{row.name}: {row.value}  {row.detail}" for row in rows_of(assessment))
    return (
        _believable(assessment, detail),
        _target(assessment, detail),
        _latency(assessment),
        _errors(assessment),
    )


def _believable(assessment: Assessment, detail: str) -> Case:
    invalid = assessment.verdict.word == "invalid"
    return Case(
        id="valid",
        name="can the measurement be believed",
        verdict="fail" if invalid else "pass",
        message=assessment.verdict.reason if invalid else headline(assessment),
        detail=detail,
        seconds=assessment.figures.measured_s,
    )


def _target(assessment: Assessment, detail: str) -> Case:
    goal, figures, name = assessment.goal, assessment.figures, "is the throughput target met"
    if goal.docs_per_s is None or not applies(goal, figures.tokens_per_doc):
        return Case(id="target", name=name, verdict="skip", message="no target for this length of documents")
    if assessment.verdict.word == "invalid":
        return Case(id="target", name=name, verdict="skip", message="the measurement is not a result")
    met = figures.docs_per_s >= goal.docs_per_s
    reason = assessment.verdict.reason if assessment.verdict.word == "impossible" else ""
    message = reason or f"{headline(assessment)}, {goal.docs_per_s:,.0f} were asked for"
    return Case(id="target", name=name, verdict="pass" if met else "fail", message=message, detail=detail)


def _latency(assessment: Assessment) -> Case:
    goal, latency, name = assessment.goal, assessment.figures.latency, "is p95 as short as asked for"
    if goal.p95_ms is None:
        return Case(id="p95", name=name, verdict="skip", message="nothing was asked for")
    met = latency.p95 is not None and latency.p95 <= goal.p95_ms
    message = f"{percentile_text(latency, 'p95', 0.95)}, {goal.p95_ms:g} ms were allowed"
    return Case(id="p95", name=name, verdict="pass" if met else "fail", message=message)


def _errors(assessment: Assessment) -> Case:
    figures, goal = assessment.figures, assessment.goal
    failed = ", ".join(f"{count} {name}" for name, count in figures.outcomes.items() if count and name != "ok")
    message = f"{figures.errors} of {figures.requests} requests failed; {goal.max_errors:.2%} were allowed"
    return Case(
        id="errors",
        name="did the requests succeed",
        verdict="pass" if figures.error_share <= goal.max_errors else "fail",
        message=message,
        detail=failed,
    )
