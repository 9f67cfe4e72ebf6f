"""A run's figures as short rows of words: the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.bench.assessment import Assessment
from orchestrator.bench.statistics import Latency, needed_for

MARKS = {"met": "✓", "missed": "✗", "impossible": "✗", "invalid": "!", "no_target": "·"}
TITLES = {
    "met": "target met",
    "missed": "target missed",
    "impossible": "target impossible",
    "invalid": "not a result",
    "no_target": "measured",
}
PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))


class Row(NamedTuple):
    name: str
    value: str
    detail: str = ""


def number(value: float) -> str:
    """Three significant figures where they are needed, whole numbers where they are not."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}" if value == round(value) else f"{value:.1f}"
    return f"{value:.3g}"


def share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.1 or value == 0 else f"{value * 100:.2g}%"


def headline(assessment: Assessment) -> str:
    """Never documents per second without their length."""
    figures = assessment.figures
    return f"{number(figures.docs_per_s)} documents/s of {number(figures.tokens_per_doc)} tokens"


def interval_text(assessment: Assessment) -> str:
    interval = assessment.figures.docs_per_s_interval
    if interval is None:
        return "no interval: too few requests"
    return f"{number(interval.low)} to {number(interval.high)} ({interval.level:.0%}, {interval.blocks} blocks)"


def percentile_text(latency: Latency, name: str, percentile: float) -> str:
    value = getattr(latency, name)
    if value is not None:
        return f"{number(value)} ms"
    return f"n too small ({latency.n} of {needed_for(percentile)})"


def rows_of(assessment: Assessment) -> list[Row]:
    """Everything that is always shown, in the order of its weight."""
    return [
        *_throughput(assessment),
        *_physics(assessment),
        *_latency(assessment),
        *_conditions(assessment),
    ]


def _throughput(assessment: Assessment) -> list[Row]:
    figures = assessment.figures
    return [
        Row("throughput", headline(assessment), interval_text(assessment)),
        Row("tokens", f"{number(figures.tokens_per_s)} tokens/s", f"{number(figures.requests_per_s)} requests/s"),
    ]


def _physics(assessment: Assessment) -> list[Row]:
    ceiling, limits = assessment.ceiling, assessment.run.limits
    rows = []
    if ceiling.docs_per_s is None:
        rows.append(Row("ceiling", "not known", ceiling.basis or "neither the model nor the device is known"))
    else:
        realistic = ceiling.realistic_docs_per_s
        often = f"; published runs come to {number(realistic)} at most" if realistic else ""
        rows.append(Row("ceiling", f"{number(ceiling.docs_per_s)} documents/s", f"{ceiling.basis}{often}"))
    if ceiling.share_of_peak is not None:
        rows.append(Row("of the peak", share(ceiling.share_of_peak), f"of {number(limits.peak_tflops or 0)} TFLOPS"))
    elif ceiling.share_of_measured is None:
        rows.append(Row("of the peak", "not known", "--measure-peak measures what a matrix product reaches here"))
    if limits.measured is not None and ceiling.share_of_measured is not None:
        detail = f"of {number(limits.measured.tflops)} TFLOPS: {limits.measured.basis}"
        rows.append(Row("of a matrix product", share(ceiling.share_of_measured), detail))
    return rows


def _latency(assessment: Assessment) -> list[Row]:
    latency = assessment.figures.latency
    texts = [f"{name} {percentile_text(latency, name, percentile)}" for name, percentile in PERCENTILES]
    longest = f"longest {number(latency.max)} ms" if latency.max is not None else "no request was answered"
    return [Row("latency", " · ".join(texts), f"from the intended time; {longest}")]


def _conditions(assessment: Assessment) -> list[Row]:
    figures, client, energy = assessment.figures, assessment.run.client, assessment.energy
    failed = [f"{count} {name.replace('_', ' ')}" for name, count in figures.outcomes.items() if count and name != "ok"]
    first = [f"first {one.outcome.replace('_', ' ')}: {one.example}" for one in assessment.run.failures]
    rows = [
        Row(
            "errors",
            f"{figures.errors} of {figures.requests} requests",
            "; ".join(filter(None, (", ".join(failed), *first))),
        ),
        Row(
            "client",
            "kept up" if client.valid else "too slow",
            client.reason
            or f"{number(client.cpu_s)} s of CPU, busiest worker {share(client.busiest_worker)} of a core",
        ),
        Row("steady state", figures.steadiness.state, figures.steadiness.reason),
    ]
    if energy is not None and energy.j_per_million_tokens and energy.j_per_thousand_vectors:
        idle = f"idle {number(energy.idle_w)} W" if energy.idle_w is not None else "idle was not read"
        rows.append(
            Row(
                "energy",
                f"{number(energy.j_per_million_tokens)} J per million tokens, "
                f"{number(energy.j_per_thousand_vectors)} J per thousand vectors",
                f"{number(energy.mean_w)} W on average, {idle}; {energy.source}",
            )
        )
    return rows
