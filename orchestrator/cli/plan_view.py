"""A Decision as something a person understands at a glance. Only renders: prints nothing, asks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.plan.records import Decision, Memory, Plan, Rejected, Throughput

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    from orchestrator.plan.calibration import Comparison

BAR_WIDTH = 10
COLOURS = {"reachable": "green", "unlikely": "yellow", "impossible": "red", "unknown": "dim"}
SHOWN_REASONS = ("model", "backend", "device", "dtype", "engine", "max_length", "threads", "weights")


def render_plan(decision: Decision, *, explain: bool = False) -> RenderableType:
    """Candidates with their fit, what was chosen and why, and the throughput verdict; `explain` adds every number."""
    from rich.console import Group

    plan = decision.plan
    parts: list[RenderableType] = [candidates_text(plan, decision.rejected), chosen(plan)]
    if explain:
        parts += [terms_table(plan.memory), settings_table(plan)]
    parts.append(throughput_text(decision.throughput))
    return Group(*parts)


def candidates_text(plan: Plan | None, rejected: tuple[Rejected, ...]) -> Text:
    """One line a candidate with its fit bar, its verdict and reason under it: readable at 80 columns too."""
    from rich.text import Text

    place = f"GPU {plan.device.index}" if plan is not None and plan.device.kind == "gpu" else "CPU"
    name = f"{plan.model}, {plan.backend} {plan.weights.dtype}, {place}" if plan else ""
    width = max(len(one) for one in (name, *(other.candidate for other in rejected)))
    text = Text("Candidates", style="italic")
    if plan is not None:
        bar = fit_bar(plan.memory.need_bytes, plan.memory.free_bytes)
        text += Text.assemble("\n", ("✓ ", "bold green"), (f"{name:{width}} ", "bold"), bar, ("  chosen", "green"))
    for other in rejected:
        mark, style = ("·", "dim") if other.code == "not_preferred" else ("✗", "red")
        bar = fit_bar(other.need_bytes, other.free_bytes)
        text += Text.assemble("\n", (f"{mark} ", style), f"{other.candidate:{width}} ", bar)
        if other.code != "not_preferred":
            text += Text.assemble("\n    ", (other.code, style), (f": {other.reason}", "dim"))
    return text


def fit_bar(need_bytes: int | None, free_bytes: int | None) -> Text:
    """How much of the free memory is needed, with both numbers."""
    from rich.text import Text

    if not need_bytes or free_bytes is None:
        return Text("")
    share = need_bytes / free_bytes if free_bytes > 0 else 9.99
    filled = min(round(share * BAR_WIDTH), BAR_WIDTH)
    colour = "red" if share > 1 else "yellow" if share > 0.9 else "green"
    bar = Text("█" * filled, style=colour) + Text("░" * (BAR_WIDTH - filled), style="dim")
    return bar + Text(f" {need_bytes / 2**30:.1f} of {free_bytes / 2**30:.1f} GiB")


def chosen(plan: Plan) -> Group:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    values = {
        "model": f"{plan.model} ({plan.dimension} dimensions)",
        "backend": f"{plan.backend} ({plan.backend_build})",
        "device": plan.device.name,
        "dtype": plan.weights.dtype,
        "engine": plan.engine,
        "max_length": f"{plan.max_length} tokens",
        "threads": str(plan.threads),
        "weights": f"{plan.weights.bytes / 1e9:.2f} GB",
    }
    for field in SHOWN_REASONS:
        if field == "threads" and plan.device.kind == "gpu":
            continue
        by = " (you)" if plan.decided_by.get(field) == "user" else ""
        table.add_row(field.replace("_", " "), values[field], plan.reasons.get(field, "") + by)
    return Group(Text("\nPlan", style="italic"), table)


def terms_table(memory: Memory) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="\nMemory, term by term", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("term", no_wrap=True)
    table.add_column("MiB", justify="right", no_wrap=True)
    table.add_column("source", overflow="fold", style="dim")
    for term in memory.terms:
        table.add_row(term.name, f"{term.bytes / 2**20:,.1f}", Text(term.source))
    table.add_row(Text("need", style="bold"), f"{memory.need_bytes / 2**20:,.1f}", "the sum")
    table.add_row("free", f"{memory.free_bytes / 2**20:,.1f}", "read from this machine")
    table.add_row("left", f"{memory.margin_bytes / 2**20:,.1f}", "free - need")
    return table


def settings_table(plan: Plan) -> Table:
    from rich.table import Table
    from rich.text import Text

    title = f"\nSettings of {plan.backend}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("why", overflow="fold", style="dim")
    for name, value in plan.backend_args.items():
        table.add_row(name, Text(str(value)), Text(plan.reasons.get(name, "")))
    return table


def throughput_text(throughput: Throughput) -> Text:
    from rich.text import Text

    text = Text("\n")
    text.append(f"{throughput.target_docs_per_s:,.0f} documents/s of {throughput.tokens_per_doc} tokens: ")
    text.append(throughput.verdict, style=COLOURS[throughput.verdict])
    if throughput.reason:
        text.append(f" ({throughput.reason})", style="dim")
    for line in throughput.advice:
        text.append(f"\n  would help: {line}")
    return text


def history_table(history: tuple[Comparison, ...]) -> Table:
    from rich.table import Table

    title = "Predicted against measured on this machine" if history else "Nothing measured on this machine yet"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("when", "what", "predicted MiB", "measured MiB", "error"):
        table.add_column(name, justify="right" if "M" in name or name == "error" else "left")
    for entry in history:
        table.add_row(
            entry.when[:16],
            entry.what,
            f"{entry.predicted_bytes / 2**20:,.0f}",
            f"{entry.measured_bytes / 2**20:,.0f}",
            f"{entry.error:+.0%}",
        )
    return table
