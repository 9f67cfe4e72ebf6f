"""What a run proves. Pure: figures, limits and goal in; one word, the reason, and what else must be known out."""

from __future__ import annotations

from typing import Literal

import msgspec

from orchestrator.bench.ceiling import Ceiling, exceeds_physics, is_beyond
from orchestrator.bench.energy import was_throttled
from orchestrator.bench.records import Goal, Run, Series
from orchestrator.bench.statistics import Statistics, measured_span, needed_for
from orchestrator.errors import EXIT_OK, EXIT_VERDICT

Word = Literal["met", "missed", "impossible", "invalid", "no_target"]
SAME_LENGTH = 0.05
"""Documents whose mean length differs from the target's by more than this share are other documents (estimate)."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    word: Word
    reason: str
    notes: tuple[str, ...] = ()
    """What a reader must know beside the word; changes no exit code."""
    advice: tuple[str, ...] = ()
    """What would reach the target."""

    @property
    def exit_code(self) -> int:
        return EXIT_OK if self.word in ("met", "no_target") else EXIT_VERDICT


def judge_run(run: Run, figures: Statistics, ceiling: Ceiling, goal: Goal) -> Verdict:
    """Invalid before missed before met: a figure that cannot be believed is neither."""
    notes = _notes(run, figures, ceiling, goal)
    invalid = _why_invalid(run, figures, ceiling)
    if invalid:
        return Verdict(word="invalid", reason=invalid, notes=notes)
    target = goal.docs_per_s if applies(goal, figures.tokens_per_doc) else None
    misses = _misses(figures, goal, target)
    if target is not None and figures.docs_per_s < target and is_beyond(ceiling, target):
        reason = (
            f"{target:,.0f} documents/s of {figures.tokens_per_doc:.3g} tokens lie above the ceiling of "
            f"{ceiling.docs_per_s:,.1f} ({ceiling.basis}); measured {figures.docs_per_s:,.1f}"
        )
        planners = run.limits.advice if goal == run.goal else ()
        return Verdict(word="impossible", reason=reason, notes=notes, advice=planners or _shorter(run, target))
    if misses:
        return Verdict(word="missed", reason="; ".join(misses), notes=notes)
    met = _what_was_met(figures, goal, target)
    if not met:
        return Verdict(word="no_target", reason="nothing was asked for", notes=notes)
    return Verdict(word="met", reason="; ".join(met), notes=notes)


def applies(goal: Goal, tokens_per_doc: float) -> bool:
    """A target is for one length of documents. Without one it is for whatever was sent."""
    return goal.tokens_per_doc is None or abs(tokens_per_doc / goal.tokens_per_doc - 1) <= SAME_LENGTH


def _why_invalid(run: Run, figures: Statistics, ceiling: Ceiling) -> str:
    if not run.client.valid:
        return f"the client, not the server, set this rate: {run.client.reason}"
    if run.wrongs or figures.outcomes["wrong"]:
        told = "; ".join(f"{wrong.kind} ({wrong.count} times): {wrong.example}" for wrong in run.wrongs)
        return f"wrong answers: {told or figures.outcomes['wrong']}"
    if exceeds_physics(ceiling):
        return (
            f"{figures.docs_per_s:,.1f} documents/s of {figures.tokens_per_doc:.3g} tokens would need "
            f"{ceiling.achieved_tflops:,.1f} TFLOPS, more than the device has ({ceiling.basis}): "
            "answers came from a cache, documents were shortened, or the limits are for another model or device"
        )
    if not figures.outcomes["ok"]:
        return f"not one request was answered right within the measured time ({_failures(figures)})"
    return ""


def _misses(figures: Statistics, goal: Goal, target: float | None) -> list[str]:
    misses = []
    if target is not None and figures.docs_per_s < target:
        misses.append(f"{figures.docs_per_s:,.1f} documents/s, {target:,.0f} were asked for")
    if goal.p95_ms is not None:
        p95 = figures.latency.p95
        if p95 is None:
            need = needed_for(0.95)
            misses.append(f"p95 cannot be told from {figures.latency.n} requests (needs {need}): measure longer")
        elif p95 > goal.p95_ms:
            misses.append(f"p95 is {p95:,.1f} ms, {goal.p95_ms:,.0f} were allowed")
    if figures.error_share > goal.max_errors:
        misses.append(f"{_failures(figures)}: {figures.error_share:.2%}, {goal.max_errors:.2%} were allowed")
    return misses


def _what_was_met(figures: Statistics, goal: Goal, target: float | None) -> list[str]:
    met = []
    if target is not None:
        met.append(f"{figures.docs_per_s:,.1f} documents/s, {target:,.0f} were asked for")
    if goal.p95_ms is not None:
        met.append(f"p95 is {figures.latency.p95:,.1f} ms, {goal.p95_ms:,.0f} were allowed")
    return met


def _shorter(run: Run, target: float) -> tuple[str, ...]:
    """For limits that came without the planner's words: the length at which the peak gives exactly the target."""
    peak = run.limits.peak_tflops or (run.limits.measured.tflops if run.limits.measured else None)
    a, b = run.limits.attention_flops, run.limits.weights_flops_per_token
    if peak is None or b is None:
        return ()
    budget = peak * 1e12 / target
    tokens = budget / b if a == 0 else (-b + (b * b + 4 * a * budget) ** 0.5) / (2 * a)
    return (f"shorter documents: {target:,.0f}/s is possible up to {tokens:.1f} tokens per document at the full peak",)


def _failures(figures: Statistics) -> str:
    failed = [f"{count} {name.replace('_', ' ')}" for name, count in figures.outcomes.items() if count and name != "ok"]
    return f"{figures.errors} of {figures.requests} requests failed ({', '.join(failed) or 'none was sent'})"


def _notes(run: Run, figures: Statistics, ceiling: Ceiling, goal: Goal) -> tuple[str, ...]:
    notes = list(run.notes)
    if figures.measured_s < run.load.duration_s and figures.requests:
        notes.append(f"the run was cut short: {measured_span(run):.1f} of {run.load.duration_s:g} s")
    if figures.steadiness.state != "steady":
        notes.append(figures.steadiness.reason)
    interval = figures.docs_per_s_interval
    if interval is None:
        notes.append("no interval for the throughput: too few requests")
    elif goal.docs_per_s is not None and applies(goal, figures.tokens_per_doc) and goal.docs_per_s in interval:
        notes.append("the target lies inside the interval of the measurement: a repetition may say the opposite")
    if goal.docs_per_s is not None and not applies(goal, figures.tokens_per_doc):
        notes.append(
            f"the target of {goal.docs_per_s:,.0f} documents/s is for {goal.tokens_per_doc:g} tokens per document; "
            f"this run sent {figures.tokens_per_doc:.3g}, so it was not judged (--target judges this length)"
        )
    if ceiling.docs_per_s is None:
        notes.append(f"the ceiling is not known: {ceiling.basis or 'neither the model nor the device is known'}")
    if ceiling.share_of_peak is None and (ceiling.share_of_measured or 0.0) > 1.0:
        notes.append(
            "faster than the matrix product: that one was measured while the machine was busy, or is a bad shape"
        )
    if figures.errors and figures.error_share <= goal.max_errors:
        notes.append(_failures(figures))
    throttled = was_throttled(run)
    if throttled:
        notes.append(f"the card was slowed down during the run: {', '.join(throttled)}")
    hits = _grown(run.telemetry, "server.prefix_cache_hits")
    if hits:
        notes.append(f"{hits:,.0f} tokens came from the server's prefix cache: not all documents were computed whole")
    return tuple(notes)


def _grown(telemetry: tuple[Series, ...], name: str) -> float:
    for series in telemetry:
        if series.name == name and len(series.value) > 1:
            return float(series.value[-1] - series.value[0])
    return 0.0
