"""A comparison in the terminal and as JUnit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.bench.compare import Comparison, Regression
from orchestrator.bench.report.terminal import bar
from orchestrator.bench.report.words import number
from orchestrator.junit import Case, junit_xml

if TYPE_CHECKING:
    from rich.text import Text

COLOURS = {"better": "green", "same": "cyan", "worse": "red", "cannot_tell": "yellow"}
SCALE_WIDTH = 51
"""Odd: one sign is the middle."""


def comparison_text(comparison: Comparison, regression: Regression | None) -> Text:
    from rich.text import Text

    colour = COLOURS[comparison.word]
    text = Text.assemble((comparison.word.replace("_", " "), f"bold {colour}"), f"  {comparison.reason}\n")
    longest = max(comparison.a.docs_per_s, comparison.b.docs_per_s) or 1.0
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        runs = f"{side.runs} run{'s' if side.runs > 1 else ''}"
        rate = f"{number(side.docs_per_s)} documents/s of {number(side.tokens_per_doc)} tokens"
        text += Text.assemble(f"\n  {name} ", (bar(side.docs_per_s / longest, 24), colour), f" {rate} ({runs})")
    if comparison.high < float("inf"):
        text += Text.assemble("\n\n  ", ruler(comparison), ("  B over A", "dim"))
    for note in comparison.notes:
        text.append(f"\n  note: {note}", style="dim")
    if regression is not None:
        style = "bold red" if regression.regressed else "green"
        text += Text.assemble("\n\n", ("regression" if regression.regressed else "no regression", style))
        text.append(f"  {regression.reason}")
    return text


def ruler(comparison: Comparison) -> str:
    """The interval on a scale whose middle is "as fast": `0.90 ────┼──├─●─┤── 1.10`."""
    reach = max(abs(comparison.low - 1), abs(comparison.high - 1), 0.05) * 1.1

    def place(value: float) -> int:
        part = (value - 1 + reach) / (2 * reach)
        return min(max(round(part * (SCALE_WIDTH - 1)), 0), SCALE_WIDTH - 1)

    signs = ["─"] * SCALE_WIDTH
    for at in range(place(comparison.low), place(comparison.high) + 1):
        signs[at] = "━"
    signs[SCALE_WIDTH // 2] = "┼"
    signs[place(comparison.ratio)] = "●"
    return f"{1 - reach:.2f} {''.join(signs)} {1 + reach:.2f}"


def comparison_junit(comparison: Comparison, regression: Regression) -> str:
    case = Case(
        id="regression",
        name="is the throughput that of the baseline",
        verdict="fail" if regression.regressed else "pass",
        message=regression.reason,
        detail="\n".join((comparison.reason, *comparison.notes)),
    )
    return junit_xml("orchestrator.bench", (case,))
