"""The summary for a terminal: readable at 80 columns, without colour, and when piped into a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.bench.assessment import Assessment
from orchestrator.bench.report.histogram import log_bins
from orchestrator.bench.report.words import MARKS, TITLES, Row, number, rows_of
from orchestrator.bench.statistics import latencies_ms, rate_over_time, shown_bins
from orchestrator.bench.sweep_points import Point, knee_of
from orchestrator.bench.verdict import applies

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

COLOURS = {"met": "green", "missed": "red", "impossible": "red", "invalid": "magenta", "no_target": "cyan"}
BLOCKS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉█"
SPARK_WIDTH = 60
BAR_WIDTH = 36
HISTOGRAM_ROWS = 8


def summary(assessment: Assessment) -> Group:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [verdict_text(assessment), Text(""), figures_table(rows_of(assessment))]
    parts += [Text(""), bars(assessment)]
    if assessment.figures.requests:
        parts += [Text(""), timeline(assessment), Text(""), distribution(assessment)]
    parts.append(footer(assessment))
    return Group(*parts)


def verdict_text(assessment: Assessment) -> Text:
    from rich.text import Text

    verdict = assessment.verdict
    style = f"bold {COLOURS[verdict.word]}"
    text = Text.assemble((f"{MARKS[verdict.word]} {TITLES[verdict.word]}", style), f"  {verdict.reason}")
    for line in verdict.advice:
        text.append(f"\n  would reach it: {line}")
    for note in verdict.notes:
        text.append(f"\n  note: {note}", style="dim")
    return text


def figures_table(rows: list[Row]) -> Table:
    """The value on its line, the detail under it: nothing is cut at 80 columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        value = Text(row.value, style="bold" if row.name == "throughput" else "")
        if row.detail:
            value.append(f"  {row.detail}", style="dim")
        table.add_row(row.name, value)
    return table


def bars(assessment: Assessment) -> Text:
    """The measured rate against what was asked for and what is possible, on one scale."""
    from rich.text import Text

    figures, goal, ceiling = assessment.figures, assessment.goal, assessment.ceiling
    lines: list[tuple[str, float, str]] = [("measured", figures.docs_per_s, COLOURS[assessment.verdict.word])]
    if goal.docs_per_s is not None and applies(goal, figures.tokens_per_doc):
        lines.append(("target", goal.docs_per_s, "yellow"))
    if ceiling.docs_per_s is not None:
        lines.append(("ceiling", ceiling.docs_per_s, "blue"))
    longest = max(value for _, value, _ in lines) or 1.0
    text = Text(f"documents/s of {number(figures.tokens_per_doc)} tokens", style="italic")
    for name, value, colour in lines:
        text += Text.assemble(f"\n  {name:<9} ", (bar(value / longest), colour), f" {number(value)}")
    return text


def bar(part: float, width: int = BAR_WIDTH) -> str:
    """A bar of eighths of a character: one in a thousand is still a sliver."""
    eighths = max(round(part * width * 8), 1 if part > 0 else 0)
    whole, rest = divmod(min(eighths, width * 8), 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(width)


def timeline(assessment: Assessment) -> Text:
    from rich.text import Text

    span = assessment.figures.measured_s
    rates = rate_over_time(assessment.run, shown_bins(assessment.figures, SPARK_WIDTH))
    text = Text("throughput over time", style="italic")
    text += Text.assemble(
        f"\n  0 s {sparkline([float(rate) for rate in rates])} {span:.0f} s",
        (f"\n  lowest {number(float(rates.min()))}, highest {number(float(rates.max()))} documents/s", "dim"),
    )
    return text


def sparkline(values: list[float]) -> str:
    """From zero: a steady run looks level, not dramatic."""
    top = max(values, default=0.0)
    if top <= 0:
        return BLOCKS[0] * len(values)
    return "".join(BLOCKS[min(int(value / top * len(BLOCKS)), len(BLOCKS) - 1)] for value in values)


def distribution(assessment: Assessment) -> Text:
    from rich.text import Text

    text = Text("latency, from the intended time", style="italic")
    found = log_bins(latencies_ms(assessment.run), HISTOGRAM_ROWS)
    highest = max((one.size for one in found), default=0)
    for one in found:
        label = f"{number(one.low)} to {number(one.high)} ms"
        text += Text.assemble(f"\n  {label:>22} ", (bar(one.size / highest), "cyan"), f" {one.size}")
    return text


def footer(assessment: Assessment) -> Text:
    from rich.text import Text

    run = assessment.run
    load = run.load
    how = f"open loop, {load.arrival} at {load.rate:g}/s" if load.rate else f"closed loop, {load.concurrency} at once"
    text = Text(f"\n{run.endpoint.model} at {run.endpoint.url} · {load.batch} per request · {how}", style="dim")
    text.append(f"\nrun: {assessment.run_dir}")
    return text


def sweep_summary(points: list[Point]) -> Group:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("tokens", "batch", "load", "docs/s", "", "p50 ms", "p95 ms", "errors"):
        table.add_column(column, justify="left" if column == "" else "right", no_wrap=True)
    longest = max((point.docs_per_s for point in points), default=0.0) or 1.0
    for point in points:
        latency = point.latency
        table.add_row(
            number(point.tokens_per_doc),
            str(point.batch),
            point.label,
            number(point.docs_per_s),
            bar(point.docs_per_s / longest, 16),
            number(latency.p50) if latency.p50 is not None else "n too small",
            number(latency.p95) if latency.p95 is not None else "n too small",
            f"{point.error_share:.1%}",
        )
    lines = [Text(text) for text in knee_of(points)]
    return Group(table, Text(""), *lines)
