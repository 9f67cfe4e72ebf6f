"""`doctor --list` and `doctor --explain ID`: the records of the checks, without asking any."""

from __future__ import annotations

import sys
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
    from rich.text import Text

    from orchestrator.cli.doctor_lines import Style, record_lines

    style = Style(width=console.width if sys.stdout.isatty() else None)
    listed: list[Described] = result.data["checks"]
    for area, title in AREA_TITLES.items():
        lines = [line for check in listed if check.area == area for line in record_lines(check, style)]
        for line in (Text(title, style="bold"), *lines, Text("")) if lines else ():
            console.print(line, soft_wrap=True)
    fixable = sum(bool(check.fix) for check in listed)
    told = f"{len(listed)} checks. Behind each question: what a bad answer is; {fixable} have a --fix."
    console.print(told, style="dim", soft_wrap=True)


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
