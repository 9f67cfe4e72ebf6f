"""`--junit FILE`: the findings of a command for a CI server, beside what it shows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from orchestrator.errors import not_written
from orchestrator.junit import FAILING, cases_of, junit_xml
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
    if path is None:
        return
    try:
        write_whole(path, junit_xml(suite, cases_of(findings, failing=failing, seconds=seconds)))
    except OSError as error:
        raise not_written("--junit", path, error) from None
