"""A Decision as something a person understands at a glance. Only renders: prints nothing, asks nothing.

Lines styled by click, which every verb has loaded already: rich would cost a third of the time that `plan` takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import wrap

from click import style

from orchestrator.plan.calibration import Comparison
from orchestrator.plan.records import Decision, Memory, Plan, Rejected, Throughput

BAR_WIDTH, NARROWEST_BAR = 10, 4
BESIDE_THE_BAR = len("✓ ") + len(" ") + len(" 11.4 of 11.6 GiB") + len("  fits too")
COLOURS = {"reachable": "green", "unlikely": "yellow", "impossible": "red", "unknown": "bright_black"}
SHOWN_REASONS = ("model", "backend", "device", "dtype", "engine", "max_length", "threads", "weights")
LABEL_WIDTH = 12
WIDEST = 120
"""Longer lines are no longer read with ease."""
FITS_TOO = "not_preferred"


def render_plan(
    decision: Decision,
    *,
    width: int,
    explain: bool = False,
    history: tuple[Comparison, ...] = (),
    simulated: bool = False,
) -> str:
    """Candidates with their fit, what was chosen and why, and the throughput verdict; `explain` adds every number."""
    width, plan = min(width, WIDEST), decision.plan
    parts = [candidates_text(plan, decision.rejected, width), chosen(plan, width)]
    if explain:
        free = "of the simulated machine" if simulated else "read from this machine"
        parts += [terms_table(plan.memory, width, free), settings_table(plan, width)]
        parts += [limits_text(plan, width)] if plan.limits is not None else []
    parts.append(throughput_text(decision.throughput, width))
    if history:
        parts.append(experience_text(history, width))
    return "\n\n".join(parts)


def candidates_text(plan: Plan | None, rejected: tuple[Rejected, ...], width: int) -> str:
    """One line a candidate with its fit bar and its verdict; the reason under each that cannot run here."""
    place = f"GPU {plan.device.index}" if plan is not None and plan.device.kind == "gpu" else "CPU"
    name = f"{plan.model}, {plan.backend} {plan.weights.dtype}, {place}" if plan else ""
    longest = max(len(one) for one in (name, *(other.candidate for other in rejected)))
    lines = [_title("Candidates")]
    bar_width = max(min(width - longest - BESIDE_THE_BAR, BAR_WIDTH), NARROWEST_BAR)
    if plan is not None:
        bar = fit_bar(plan.memory.need_bytes, plan.memory.free_bytes, bar_width)
        lines.append(f"{style('✓', 'green', bold=True)} {style(f'{name:{longest}}', bold=True)} {bar}  "
                     + style("chosen", "green"))  # fmt: skip
    said: dict[str, str] = {}
    for other in rejected:
        lines += _rejected(other, fit_bar(other.need_bytes, other.free_bytes, bar_width), longest, width, said)
    return "\n".join(lines)


def _rejected(other: Rejected, bar: str, longest: int, width: int, said: dict[str, str]) -> list[str]:
    """A reason that was already given is not given again."""
    fits = other.code == FITS_TOO
    mark = style("·", dim=True) if fits else style("✗", "red")
    line = f"{mark} {other.candidate:{longest}} {bar}".rstrip()
    if fits:
        return [f"{line}  {style('fits too', dim=True)}"]
    first = said.setdefault(other.reason, other.candidate)
    reason = other.reason if first == other.candidate else f"as for {first}"
    return [line, *_hanging(other.code, reason, width, "    ", "red")]


def fit_bar(need_bytes: int | None, free_bytes: int | None, width: int = BAR_WIDTH) -> str:
    """How much of the free memory is needed, with both numbers; a need beyond it ends in an arrow."""
    if not need_bytes or free_bytes is None:
        return ""
    share = need_bytes / free_bytes if free_bytes > 0 else 9.99
    filled = min(round(share * width), width)
    colour = "red" if share > 1 else "yellow" if share > 0.9 else "green"
    full = "█" * (width - 1) + "▶" if share > 1 else "█" * filled
    bar = style(full, colour) + style("░" * (width - len(full)), dim=True)
    numbers = f"{need_bytes / 2**30:.1f} of {free_bytes / 2**30:.1f} GiB"
    return f"{bar} {style(numbers, 'red') if share > 1 else numbers}"


def chosen(plan: Plan, width: int) -> str:
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
    lines = [_title("Plan")]
    for field in SHOWN_REASONS:
        if field == "threads" and plan.device.kind == "gpu":
            continue
        by = " (you)" if plan.decided_by.get(field) == "user" else ""
        label = f"{field.replace('_', ' '):{LABEL_WIDTH}}"
        lines += _hanging(values[field], plan.reasons.get(field, "") + by, width, label)
    return "\n".join(lines)


def terms_table(memory: Memory, width: int, free_source: str) -> str:
    rows = [(term.name, f"{term.bytes / 2**20:,.1f}", term.source) for term in memory.terms]
    rows += [
        ("need", f"{memory.need_bytes / 2**20:,.1f}", "the sum"),
        ("free", f"{memory.free_bytes / 2**20:,.1f}", free_source),
        ("left", f"{memory.margin_bytes / 2**20:,.1f}", "free - need"),
    ]
    longest = max(len(name) for name, _, _ in rows)
    lines = [_title("Memory, term by term (MiB)")]
    for name, size, source in rows:
        lines += _columns(f"{name:{longest}}  {size:>9}", source, width)
    return "\n".join(lines)


def settings_table(plan: Plan, width: int) -> str:
    longest = max(len(name) for name in plan.backend_args)
    lines = [_title(f"Settings of {plan.backend}")]
    for name, value in plan.backend_args.items():
        reason = plan.reasons.get(name, "")
        lines += _hanging(str(value), reason, width, f"{name:{longest}}  ")
    return "\n".join(lines)


def limits_text(plan: Plan, width: int) -> str:
    """How far the same plan could be stretched."""
    assert plan.limits is not None  # noqa: S101 - the caller looked
    lines = [_title("What would still fit, everything else as it is")]
    longest, widest = plan.limits.max_length, plan.limits.batched_tokens
    at_most = "all that the model takes" if longest >= plan.card.ctx else "the largest that memory leaves room for"
    lines += _columns(f"--max-length      {longest:>6}", at_most, width)
    lines += _columns(f"--batched-tokens  {widest:>6}", f"planned are {plan.batched_tokens}", width)
    return "\n".join(lines)


def throughput_text(throughput: Throughput, width: int) -> str:
    target = f"{throughput.target_docs_per_s:,.0f} documents/s of {throughput.tokens_per_doc} tokens: "
    lines = [target + style(throughput.verdict, COLOURS[throughput.verdict], bold=True)]
    lines += _columns("", throughput.reason, width) if throughput.reason else []
    for line in throughput.advice:
        lines += wrap(f"would help: {line}", width, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def experience_text(history: tuple[Comparison, ...], width: int) -> str:
    """How good the predictions were on this machine so far: the last one, and the worst of all."""
    last, worst = history[-1], max(history, key=lambda one: abs(one.error))
    text = (
        f"the last one was {_error(last.error)} off ({_mib(last.predicted_bytes)} predicted, "
        f"{_mib(last.measured_bytes)} measured: {last.what}); the worst of {len(history)} {_error(worst.error)} "
        "(orchestrator plan --history)"
    )
    return "\n".join(_hanging("Predictions on this machine", text, width, ""))


def history_text(history: tuple[Comparison, ...], width: int) -> str:
    if not history:
        return "Nothing measured on this machine yet: every verified `orchestrator up` adds one line."
    width = min(width, WIDEST)
    lines = [_title("Predicted against measured on this machine")]
    for entry in history:
        sizes = f"{_mib(entry.predicted_bytes):>10} {_mib(entry.measured_bytes):>10} {_error(entry.error):>7}"
        lines += _columns(f"{entry.when[:16].replace('T', ' ')}  {sizes}", entry.what, width)
        for term in entry.terms:
            predicted = _mib(term.predicted_bytes) if term.predicted_bytes is not None else "-"
            lines += _columns(f"{'':16}  {predicted:>10} {_mib(term.measured_bytes):>10} {'':7}",
                              f"{term.name}: {term.method}", width)  # fmt: skip
    return "\n".join(lines)


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"


def _error(error: float) -> str:
    return f"{error:+.1%}"


def _title(text: str) -> str:
    return style(text, italic=True, underline=True)


def _hanging(value: str, reason: str, width: int, label: str, colour: str | None = None) -> list[str]:
    """`label value · reason`, wrapped under the value; the value stands out."""
    indent = " " * len(label)
    separator = " · " if reason else ""
    lines = wrap(f"{value}{separator}{reason}", max(width - len(label), 20), break_on_hyphens=False)
    styled = [_emphasised(lines[0], value, colour), *(style(line, dim=True) for line in lines[1:])]
    return [f"{style(label, bold=True) if label.strip() else label}{styled[0]}", *(indent + one for one in styled[1:])]


def _emphasised(line: str, value: str, colour: str | None) -> str:
    """A value that was itself wrapped stays plain on its further lines."""
    head = line[: len(value)]
    return style(head, colour) + style(line[len(value) :], dim=True)


def _columns(first: str, rest: str, width: int) -> Iterable[str]:
    indent = " " * (len(first) + 2)
    lines = wrap(rest, max(width - len(indent), 20), break_on_hyphens=False) or [""]
    return [f"{first}  {style(lines[0], dim=True)}", *(indent + style(line, dim=True) for line in lines[1:])]
