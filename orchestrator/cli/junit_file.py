"""`--junit FILE`: the findings of a command for a CI server, beside what it shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import OrchestratorError, not_written
from orchestrator.junit import FAILING, Case, cases_of, junit_xml
from orchestrator.result import Finding, Verdict
from orchestrator.state import write_whole


def write_junit(
    path: Path | None,
    suite: str,
    findings: Iterable[Finding],
    *,
    failing: Collection[Verdict] = FAILING,
    seconds: Mapping[str, float] | None = None,
) -> None:
    """Nothing where no file was asked for."""
    _write(path, suite, cases_of(findings, failing=failing, seconds=seconds))


@contextmanager
def junit_of_failure(path: Path | None, suite: str) -> Iterator[None]:
    """A command that ends in an error has a report too: the findings that it had, else the error itself."""
    try:
        yield
    except OrchestratorError as error:
        cases = cases_of(error.findings)
        if not any(case.verdict in ("fail", "error") for case in cases):
            cases = (*cases, _ending(suite, error))
        _write(path, suite, cases)
        raise


def _ending(suite: str, error: OrchestratorError) -> Case:
    return Case(
        id="end",
        name=f"Does `orchestrator {suite}` come to its end?",
        verdict="fail",
        message=error.message,
        detail="\n".join(part for part in (error.code, error.message, error.remedy, error.evidence) if part),
    )


def _write(path: Path | None, suite: str, cases: tuple[Case, ...]) -> None:
    if path is None:
        return
    try:
        write_whole(path, junit_xml(suite, cases))
    except OSError as error:
        raise not_written("--junit", path, error) from None
