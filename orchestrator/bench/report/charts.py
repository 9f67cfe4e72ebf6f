"""The pictures of a run: each takes an assessment and gives SVG, or nothing where there is nothing to show."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from orchestrator.bench.assessment import Assessment
from orchestrator.bench.records import OUTCOMES, Series
from orchestrator.bench.report.histogram import log_bins
from orchestrator.bench.report.plots import Frame, headroom
from orchestrator.bench.report.words import PERCENTILES, number
from orchestrator.bench.statistics import OK, latencies_ms, rate_over_time, shown_bins
from orchestrator.bench.sweep_points import Point, knee, lines_of
from orchestrator.bench.verdict import applies

WIDTH, HEIGHT = 960.0, 280.0
HALF_WIDTH = 470.0
SMALL_HEIGHT = 170.0
MOST_DOTS = 3000
"""What a page still draws at once; failures and the longest are always among them."""
FEW_DOTS = 600
ABOVE = -11.0
"""Left above a knee there is nothing: the curve comes from below."""
MOST_BINS = 120
HISTOGRAM_BINS = 48
IN_SIGHT = 3.0
"""A target or ceiling farther away than this many times the highest value would flatten the picture: words instead."""
BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
SHOWN_SERIES = (
    ("gpu.power", "GPU power"),
    ("gpu.utilisation", "GPU utilisation"),
    ("gpu.sm_clock", "GPU clock"),
    ("gpu.memory", "GPU memory"),
    ("gpu.temperature", "GPU temperature"),
    ("server.cpu", "CPU of the server"),
    ("host.cpu", "CPU of the whole machine"),
    ("server.rss", "memory of the server"),
    ("server.running", "requests in the server"),
    ("server.waiting", "requests waiting in the server"),
    ("server.tokens", "tokens by the server's own count"),
)
COUNTERS = {"server.tokens": "tokens/s"}
"""Series that only grow: shown as their rate."""


class Chart(NamedTuple):
    title: str
    svg: str
    caption: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    """(kind, words) of each line, where they are not written beside it."""


def throughput(assessment: Assessment) -> Chart | None:
    figures, goal, ceiling = assessment.figures, assessment.goal, assessment.ceiling
    if not figures.requests:
        return None
    span = figures.measured_s
    bins = shown_bins(figures, MOST_BINS)
    rates = [float(rate) for rate in rate_over_time(assessment.run, bins)]
    levels = [(figures.docs_per_s, "mean", f"mean {number(figures.docs_per_s)}")]
    highest = max(*rates, figures.docs_per_s)
    hidden = []
    target = goal.docs_per_s if applies(goal, figures.tokens_per_doc) else None
    for value, kind in ((target, "target"), (ceiling.docs_per_s, "ceiling")):
        if value is None:
            continue
        if value <= highest * IN_SIGHT:
            levels.append((value, kind, f"{kind} {number(value)}"))
        else:
            hidden.append(f"the {kind} ({number(value)}) lies far above this picture")
    frame = Frame(
        width=WIDTH,
        height=HEIGHT,
        x=(0.0, span),
        y=(0.0, headroom(max(highest, *(level[0] for level in levels)))),
        x_title="seconds from the end of the warm-up",
        y_title="documents/s",
    )
    interval = figures.docs_per_s_interval
    marks = [frame.steps([float(edge) for edge in np.linspace(0, span, bins + 1)], rates, "rate")]
    if interval is not None:
        marks.append(frame.band_across(interval.low, interval.high, "interval"))
    marks.append(frame.rules(levels))
    caption = f"Documents whose answers came back right, in parts of {span / bins:.2g} s."
    if interval is not None:
        caption += f" Shaded: where the mean lies with {interval.level:.0%} confidence."
    return Chart(
        "Throughput over time",
        frame.svg("Throughput over time", marks),
        " ".join([caption, *(f"{text.capitalize()}." for text in hidden)]),
    )


def latency_over_time(assessment: Assessment) -> Chart | None:
    run, latency = assessment.run, assessment.figures.latency
    requests = run.requests
    if not len(requests.done_s):
        return None
    begin, spent = requests.intended_s, (requests.done_s - requests.intended_s) * 1000
    positive = spent[spent > 0]
    if not len(positive):
        return None
    low, high = float(positive.min()), float(positive.max())
    wide = high / low > 30
    kept = _sample(spent, requests.outcome)
    frame = Frame(
        width=WIDTH,
        height=HEIGHT,
        x=(min(float(begin.min()), 0.0), max(float(begin.max()), 1e-3)),
        y=(low * 0.8, high * 1.25) if wide else (0.0, headroom(high)),
        x_title="seconds from the end of the warm-up, when the request was meant to be sent",
        y_title="milliseconds",
        log_y=wide,
    )
    marks = []
    if frame.x[0] < 0:
        marks.append(frame.band_up(frame.x[0], 0.0, "warmup", "warm-up"))
    for index, name in enumerate(OUTCOMES):
        chosen = kept & (requests.outcome == index)
        points = list(zip(begin[chosen].tolist(), spent[chosen].tolist(), strict=True))
        small = 1.8 if len(points) > FEW_DOTS else 2.6
        marks.append(frame.dots(points, name, small if index == OK else 3.4))
    levels = [(value, "mean", f"{name} {number(value)} ms") for name, value in _known(latency) if name != "p95"]
    marks.append(frame.rules(levels))
    failed = [
        name.replace("_", " ") for index, name in enumerate(OUTCOMES) if index and (requests.outcome == index).any()
    ]
    caption = f"Each dot is a request{' (a sample)' if not kept.all() else ''}."
    if failed:
        caption += f" Large dots failed: {', '.join(failed)}."
    return Chart("Latency over time", frame.svg("Latency over time", marks), caption)


def distribution(assessment: Assessment, width: float = HALF_WIDTH) -> Chart | None:
    found = log_bins(latencies_ms(assessment.run), HISTOGRAM_BINS)
    if not found:
        return None
    frame = Frame(
        width=width,
        height=HEIGHT,
        x=(found[0].low, found[-1].high * (found[-1].high / found[0].low) ** 0.2),  # room for the labels
        y=(0.0, headroom(max(one.size for one in found) * 1.1)),
        x_title="milliseconds, logarithmic",
        y_title="requests",
        log_x=True,
    )
    marks = [
        frame.column(one.low, one.high, one.size, f"{number(one.low)} to {number(one.high)} ms: {one.size} requests")
        for one in found
        if one.size
    ]
    latency = assessment.figures.latency
    marks += [frame.marker(value, f"{name} {number(value)}", row) for row, (name, value) in enumerate(_known(latency))]
    missing = [name for name, _ in PERCENTILES if getattr(latency, name) is None]
    caption = f"{', '.join(missing)}: too few requests to tell." if missing else ""
    return Chart("Latency distribution", frame.svg("Latency distribution", marks), caption)


def roofline(assessment: Assessment) -> Chart | None:
    """Tokens in one pass against the rate: below the knee the memory binds, above it the arithmetic."""
    limits, ceiling, figures = assessment.run.limits, assessment.ceiling, assessment.figures
    peak = limits.peak_tflops or (limits.measured.tflops if limits.measured else None)
    if peak is None or ceiling.flops_per_doc is None or not figures.docs_per_s:
        return None
    tokens, load = figures.tokens_per_doc, assessment.run.load
    per_pass = load.batch * tokens * (load.concurrency if load.rate is None else 1)
    if limits.batched_tokens:
        per_pass = min(per_pass, limits.batched_tokens)
    roofs = [(peak, "ceiling", "data sheet" if limits.peak_tflops else "matrix product")]
    if limits.measured is not None and limits.peak_tflops:
        roofs.append((limits.measured.tflops, "measured", "matrix product"))
    if limits.realistic and limits.peak_tflops:
        roofs.append((peak * limits.realistic, "realistic", "published runs"))
    memory = limits.weight_passes_per_s

    def docs(tflops: float, at: float) -> float:
        compute = tflops * 1e12 / ceiling.flops_per_doc if ceiling.flops_per_doc else 0.0
        return min(compute, memory * at / tokens) if memory else compute

    left, right = max(per_pass / 500, 1.0), per_pass * 8
    xs = [float(x) for x in np.geomspace(left, right, 200)]
    frame = Frame(
        width=HALF_WIDTH,
        height=HEIGHT,
        x=(left, right),
        y=(min(docs(peak, left), figures.docs_per_s) * 0.5, max(docs(peak, right), figures.docs_per_s) * 2),
        x_title="tokens in one pass through the model",
        y_title=f"documents/s of {number(tokens)} tokens",
        log_x=True,
        log_y=True,
    )
    marks = [frame.line([(x, docs(tflops, x)) for x in xs], kind) for tflops, kind, _ in roofs]
    reached = number(figures.docs_per_s)
    marks.append(frame.point(per_pass, figures.docs_per_s, f"this run {reached}", assessment.verdict.word))
    return Chart(
        "Roofline",
        frame.svg("Roofline", marks),
        "" if memory else "No memory bandwidth is known: only the arithmetic is drawn.",
        tuple((kind, f"{text} {number(docs(tflops, right))}") for tflops, kind, text in roofs),
    )


def telemetry(assessment: Assessment) -> list[Chart]:
    found = {series.name: series for series in assessment.run.telemetry}
    shown = [(found[name], title) for name, title in SHOWN_SERIES if name in found]
    return [_small(series, title) for series, title in shown if len(series.value) > 1 and series.value.max() > 0]


def _small(series: Series, title: str) -> Chart:
    times, values, unit = series.time_s, series.value, series.unit
    if series.name in COUNTERS:
        values, times = np.diff(values) / np.diff(times), times[1:]
        unit = COUNTERS[series.name]
    if unit == "share":
        values, unit = values * 100, "%"
    if unit == "bytes":
        size, unit = next(((size, name) for size, name in BYTES if values.max() >= size), (1, "bytes"))
        values = values / size
    frame = Frame(
        width=HALF_WIDTH,
        height=SMALL_HEIGHT,
        x=(float(times[0]), float(times[-1])) if times[-1] > times[0] else (float(times[0]), float(times[0]) + 1),
        y=(0.0, 105.0 if unit == "%" else headroom(float(values.max()))),
        x_title="seconds",
        y_title=unit,
    )
    marks = []
    if frame.x[0] < 0 < frame.x[1]:
        marks.append(frame.band_up(frame.x[0], 0.0, "warmup", "before"))
    points = list(zip(times.tolist(), values.tolist(), strict=True))
    marks.append(frame.line(points, "rate"))
    measured = values[times >= 0]
    mean = (
        f"mean {number(float(measured.mean()))} {unit}, highest {number(float(measured.max()))}"
        if len(measured)
        else ""
    )
    return Chart(title, frame.svg(title, marks), mean)


def sweep(points: list[Point]) -> list[Chart]:
    """Throughput and p95 against the load, one curve for each length and batch."""
    lines = [line for line in lines_of(points) if len(line) > 1]
    if not lines:
        return []
    charts = [_sweep_chart(lines, "Throughput against load", "documents/s")]
    waits = [[point for point in line if point.latency.p50 is not None] for line in lines]
    if all(len(line) > 1 for line in waits):
        charts.append(_sweep_chart(waits, "Latency against load", "p50, milliseconds"))
    return charts


def _sweep_chart(lines: list[list[Point]], title: str, y_title: str) -> Chart:
    of_rate = y_title == "documents/s"

    def value(point: Point) -> float:
        return point.docs_per_s if of_rate else (point.latency.p50 or 0.0)

    loads = [point.load for line in lines for point in line]
    highest = max(value(point) for line in lines for point in line)
    open_loop = lines[0][0].open_loop
    frame = Frame(
        width=HALF_WIDTH,
        height=HEIGHT,
        x=(min(loads) * 0.9, max(loads) * 1.12),
        y=(0.0, headroom(highest)),
        x_title="requests per second" if open_loop else "requests in flight",
        y_title=y_title,
        log_x=max(loads) / min(loads) > 4,
    )
    marks = []
    for index, line in enumerate(lines):
        kind = f"c{index % 6}"
        pairs = [(point.load, value(point)) for point in line]
        marks += [frame.line(pairs, kind), frame.dots(pairs, kind, 3.2)]
        found = knee(line) if of_rate else None
        if found is not None:
            marks.append(frame.point(found.load, value(found), f"knee: {found.label}", kind, ABOVE))
    named = [f"{line[0].tokens_per_doc:g} tokens, {line[0].batch} per request" for line in lines]
    return Chart(
        title, frame.svg(title, marks), keys=tuple((f"c{index % 6}", name) for index, name in enumerate(named))
    )


def _known(latency: Any) -> list[tuple[str, float]]:
    return [(name, value) for name, _ in PERCENTILES if (value := getattr(latency, name)) is not None]


def _sample(spent: np.ndarray[Any, Any], outcome: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Every n-th request, every failure, and the slowest hundred."""
    n = len(spent)
    kept: np.ndarray[Any, Any] = np.arange(n) % max(-(-n // MOST_DOTS), 1) == 0
    kept |= outcome != OK
    kept[np.argsort(spent)[-100:]] = True
    return kept
