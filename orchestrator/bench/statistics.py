"""From raw requests to figures, each with what it can and cannot say. Pure.

Throughput is documents that came back right within the measured time. Its interval comes from batch means: the time is
cut into equal blocks, neighbours are joined until they no longer resemble each other, and the spread of what remains is
read with Student's t. Requests of one run are not independent; blocks that are long enough are.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Literal

import msgspec
import numpy as np

from orchestrator.bench.records import OUTCOMES, Requests, Run

LEVEL = 0.95
FIRST_BLOCKS = 32
FEWEST_BLOCKS = 8
"""Below this many blocks neither an interval nor a trend means much (derived: t of 7 degrees is 1.2 times z)."""
FEWEST_REQUESTS = 16
"""Two a block at the fewest number of blocks."""
TREND_SIGNIFICANCE = 0.05
TREND_MATTERS = 0.05
"""A drift below this share of the mean over the whole run changes no decision (estimate)."""
SHOWN_A_SECOND = 3
REQUESTS_A_BIN = 5
FEWEST_BINS = 8
CUT_SHORT = 0.9
"""A run whose last answer came before this share of its time did not run to its end (estimate)."""
CONFIDENCE_OF_PERCENTILE = 0.99
ANSWERED: tuple[int, ...] = tuple(OUTCOMES.index(outcome) for outcome in ("ok", "wrong", "timed_out"))
"""Whose latency counts: a refusal is fast and would flatter; a time-out counts as at least as long as it waited."""
OK = OUTCOMES.index("ok")

State = Literal["steady", "drifting", "unknown"]
Array = np.ndarray[Any, Any]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    low: float
    high: float
    level: float = LEVEL
    blocks: int = 0
    block_s: float = 0.0

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class Steadiness(msgspec.Struct, frozen=True, kw_only=True):
    state: State
    drift: float | None
    """Change from the run's beginning to its end as a share of the mean (Theil-Sen)."""
    reason: str


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from the intended time to the last byte; None where the sample is too small for the percentile."""

    n: int
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    measured_s: float
    requests: int
    """Intended within the measured time, whatever became of them."""
    outcomes: dict[str, int]
    docs_per_s: float
    docs_per_s_interval: Interval | None
    tokens_per_s: float
    tokens_per_doc: float
    requests_per_s: float
    latency: Latency
    steadiness: Steadiness

    @property
    def errors(self) -> int:
        return self.requests - self.outcomes["ok"]

    @property
    def error_share(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


def statistics_of(run: Run) -> Statistics:
    requests, span = run.requests, measured_span(run)
    asked = intended_within(requests, span)
    right = (requests.outcome == OK) & (requests.done_s >= 0) & (requests.done_s < span)
    documents = float(requests.documents[right].sum())
    blocks = blocks_of(run)
    return Statistics(
        measured_s=span,
        requests=int(asked.sum()),
        outcomes={name: int((requests.outcome[asked] == index).sum()) for index, name in enumerate(OUTCOMES)},
        docs_per_s=documents / span,
        docs_per_s_interval=interval_of(blocks, span),
        tokens_per_s=float(requests.tokens_sent[right].sum()) / span,
        tokens_per_doc=run.tokens_per_doc,
        requests_per_s=float(right.sum()) / span,
        latency=latency_of(latencies_ms(run)),
        steadiness=steadiness_of(blocks),
    )


def measured_span(run: Run) -> float:
    """The measured time: as long as asked for, or up to the last answer in a run that was cut short (Ctrl-C)."""
    requests = run.requests
    if not len(requests.done_s):
        return run.load.duration_s
    last = float(max(requests.done_s.max(), requests.intended_s.max()))
    return last if 0 < last < CUT_SHORT * run.load.duration_s else run.load.duration_s


def intended_within(requests: Requests, span: float) -> Array:
    within: Array = (requests.intended_s >= 0) & (requests.intended_s < span)
    return within


def latencies_ms(run: Run) -> Array:
    requests = run.requests
    counted = intended_within(requests, measured_span(run)) & np.isin(requests.outcome, ANSWERED)
    spent: Array = (requests.done_s[counted] - requests.intended_s[counted]) * 1000.0
    return spent


def needed_for(percentile: float) -> int:
    """The fewest requests that allow a percentile, by MLPerf's rule (mlcommons/endpoints#417: 64 for p90, 662 for p99).

    It is the smallest n at which two or more of them lie beyond the percentile with 99 % confidence.
    """
    beyond, n = 1.0 - percentile, 2
    while (1 - beyond) ** n + n * beyond * (1 - beyond) ** (n - 1) > 1 - CONFIDENCE_OF_PERCENTILE:
        n += 1
    return n


def latency_of(spent_ms: Array) -> Latency:
    n = len(spent_ms)

    def at(percentile: float) -> float | None:
        """An observed value, never one between two: what somebody really waited."""
        return float(np.quantile(spent_ms, percentile, method="higher")) if n >= needed_for(percentile) else None

    return Latency(n=n, p50=at(0.5), p90=at(0.9), p95=at(0.95), p99=at(0.99), max=float(spent_ms.max()) if n else None)


def blocks_of(run: Run) -> Array:
    """Documents per second in equal blocks of the measured time, joined until neighbours no longer correlate."""
    requests, span = run.requests, measured_span(run)
    right = (requests.outcome == OK) & (requests.done_s >= 0) & (requests.done_s < span)
    count = min(FIRST_BLOCKS, int(right.sum()) // 2)
    if right.sum() < FEWEST_REQUESTS:
        return np.empty(0)
    return decorrelated(rate_over_time(run, count))


def shown_bins(figures: Statistics, most: int) -> int:
    """In how many parts a picture of the run may be cut: fewer requests a part would draw the batches, not the rate."""
    by_time = int(figures.measured_s * SHOWN_A_SECOND)
    return max(min(by_time, figures.requests // REQUESTS_A_BIN, most), FEWEST_BINS)


def rate_over_time(run: Run, bins: int) -> Array:
    """Documents per second in `bins` equal parts of the measured time, by when they were done."""
    requests, span = run.requests, measured_span(run)
    right = requests.outcome == OK
    edges = np.linspace(0.0, span, bins + 1)
    documents, _ = np.histogram(requests.done_s[right], bins=edges, weights=requests.documents[right])
    rates: Array = documents / (span / bins)
    return rates


def decorrelated(blocks: Array) -> Array:
    """Join pairs while the lag-one correlation is more than chance would give (one-sided, 5 %)."""
    while len(blocks) // 2 >= FEWEST_BLOCKS and lag_one(blocks) > NormalDist().inv_cdf(0.95) / math.sqrt(len(blocks)):
        even = len(blocks) // 2 * 2
        blocks = blocks[:even].reshape(-1, 2).mean(axis=1)
    return blocks


def lag_one(blocks: Array) -> float:
    centred = blocks - blocks.mean()
    spread = float((centred**2).sum())
    return float((centred[1:] * centred[:-1]).sum()) / spread if spread > 0 else 0.0


def interval_of(blocks: Array, span: float) -> Interval | None:
    """Student's interval over the blocks, widened for correlation that joining could not remove."""
    n = len(blocks)
    if n < FEWEST_BLOCKS:
        return None
    rest = min(max(lag_one(blocks), 0.0), 0.9)
    error = float(blocks.std(ddof=1)) / math.sqrt(n) * math.sqrt((1 + rest) / (1 - rest))
    half, mean = student(LEVEL, n - 1) * error, float(blocks.mean())
    return Interval(low=max(mean - half, 0.0), high=mean + half, blocks=n, block_s=span / n)


def student(level: float, degrees: int) -> float:
    """Two-sided quantile of Student's t (Abramowitz and Stegun 26.7.5; within 0.2 % from seven degrees of freedom)."""
    z, v = NormalDist().inv_cdf(0.5 + level / 2), degrees
    terms = (
        (z**3 + z) / 4 / v,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96 / v**2,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / v**3,
    )
    return z + sum(terms)


def steadiness_of(blocks: Array) -> Steadiness:
    """Mann-Kendall for "is there a trend", Theil-Sen for "how much": neither is misled by one stall."""
    n = len(blocks)
    if n < FEWEST_BLOCKS or not blocks.mean():
        return Steadiness(state="unknown", drift=None, reason="too few requests to tell: measure longer")
    first, second = np.triu_indices(n, 1)
    rises = blocks[second] - blocks[first]
    drift = float(np.median(rises / (second - first))) * (n - 1) / float(blocks.mean())
    score = float(np.sign(rises).sum())
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    z = (abs(score) - 1) / deviation if score else 0.0
    chance = 2 * (1 - NormalDist().cdf(z))
    if chance < TREND_SIGNIFICANCE and abs(drift) > TREND_MATTERS:
        word = "rose" if drift > 0 else "fell"
        return Steadiness(
            state="drifting",
            drift=drift,
            reason=f"no steady state: the throughput {word} by {abs(drift):.0%} over the run; measure longer",
        )
    return Steadiness(state="steady", drift=drift, reason=f"drift {drift:+.1%} over {n} blocks")
