"""A run as Markdown, for a pull request's comment or a wiki."""

from __future__ import annotations

from orchestrator.bench.assessment import Assessment
from orchestrator.bench.report.words import MARKS, TITLES, headline, rows_of


def markdown(assessment: Assessment) -> str:
    verdict, run = assessment.verdict, assessment.run
    lines = [
        f"## {MARKS[verdict.word]} {TITLES[verdict.word]}: {headline(assessment)}",
        "",
        _text(verdict.reason),
        "",
        "| | | |",
        "|---|---|---|",
        *(f"| {_cell(row.name)} | **{_cell(row.value)}** | {_cell(row.detail)} |" for row in rows_of(assessment)),
        "",
        *(f"- would reach it: {_text(line)}" for line in verdict.advice),
        *(f"- note: {_text(note)}" for note in verdict.notes),
        "",
        "<details><summary>Measured on</summary>",
        "",
        "| field | value |",
        "|---|---|",
        f"| model | {_cell(run.endpoint.model)} |",
        f"| started | {_cell(run.started_at)} |",
        *(f"| load.{name} | {_cell(str(value))} |" for name, value in _load(assessment)),
        *(f"| {_cell(name)} | {_cell(str(value))} |" for name, value in run.fingerprint.items()),
        "",
        "</details>",
    ]
    return "\n".join(lines) + "\n"


def _load(assessment: Assessment) -> list[tuple[str, object]]:
    import msgspec

    return list(msgspec.structs.asdict(assessment.run.load).items())


def _cell(text: str) -> str:
    """A bar would end the cell, a line break the row."""
    return " ".join(_text(text).split()).replace("|", "\\|")


def _text(text: str) -> str:
    return text.replace("<", "&lt;")
