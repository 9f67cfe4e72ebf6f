"""`doctor --list` and `doctor --explain ID`: the records of the checks, without asking any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.cli.output import finish
from orchestrator.doctor import catalogue
from orchestrator.doctor.listing import AREA_TITLES, REMEDY_TEXTS, STAGE_TEXTS, Described, described
from orchestrator.doctor.selection import Selection, choose, matching
from orchestrator.result import Result

if TYPE_CHECKING:
    from rich.console import Console


def show_list(selection: Selection, as_json: bool) -> int:
    chosen = choose(catalogue.CHECKS, selection, tuple(STAGE_TEXTS)).asked
    listed = [described(check, catalogue.CHECKS) for check in chosen]
    return finish(Result(command="doctor", data={"checks": listed}), as_json, _view_list)


def show_explanation(word: str, as_json: bool) -> int:
    """One check, or all that the word stands for."""
    explained = [described(check, catalogue.CHECKS) for check in matching(catalogue.CHECKS, word, "--explain")]
    return finish(Result(command="doctor", data={"checks": explained}), as_json, _view_explanation)


def _view_list(console: Console, result: Result) -> None:
    from rich.table import Table
    from rich.text import Text

    listed: list[Described] = result.data["checks"]
    for area, title in AREA_TITLES.items():
        checks = [check for check in listed if check.area == area]
        if not checks:
            continue
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=24)
        table.add_column(overflow="fold")
        for check in checks:
            marks = f"{check.severity}, fix" if check.fix else check.severity
            table.add_row(check.id, Text.assemble(check.question, (f"  {marks}", "dim")))
        console.print(Text(title, style="bold"))
        console.print(table)
        console.print()
    fixable = sum(bool(check.fix) for check in listed)
    console.print(
        f"{len(listed)} checks; a bad answer is what stands behind the question; {fixable} can be fixed with --fix",
        style="dim",
        soft_wrap=True,
    )


def _view_explanation(console: Console, result: Result) -> None:
    from rich.table import Table
    from rich.text import Text

    for check in result.data["checks"]:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
        table.add_column(no_wrap=True, style="cyan")
        table.add_column(overflow="fold")
        rows = {
            "reads": "\n".join(check.reads),
            "asked of": STAGE_TEXTS[check.stage],
            "needs first": ", ".join(check.needs),
            "blocks": ", ".join(check.blocks),
            "when bad": check.severity,
            "answers in": f"{check.timeout_s:g} s at most",
            "remedy": REMEDY_TEXTS[check.remedy],
            "fix": check.fix,
            "docs": check.docs,
        }
        for name, value in rows.items():
            if value:
                table.add_row(name, Text(value))
        console.print(Text.assemble((check.id, "bold"), f"  {check.question}"), soft_wrap=True)
        console.print(table)
        console.print()
