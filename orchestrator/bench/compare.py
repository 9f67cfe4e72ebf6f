"""Is B faster than A? Pure: runs in; the ratio with its interval, and a word that admits when it cannot tell, out.

The bootstrap resamples what varies: the runs of each side (paired in the order in which they were made, so that a slow
drift of the machine hits both), and the time blocks within each run. With few runs such an interval is known to be
too narrow; it is widened about its middle by what Student's t asks for that many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Literal

import msgspec
import numpy as np

from orchestrator.bench.records import Run
from orchestrator.bench.statistics import FEWEST_BLOCKS, LEVEL, blocks_of, statistics_of, student

Word = Literal["better", "same", "worse", "cannot_tell"]
SAME = 0.02
"""Rates within this share of each other are the same for every purpose that a benchmark serves (estimate)."""
RESAMPLES = 4000
ENOUGH_RUNS = 5
"""Below this the spread between runs is known badly (derived: t of 3 degrees is 1.6 times the normal's)."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    docs_per_s: float
    """Mean over its runs."""
    runs: int
    tokens_per_doc: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    word: Word
    ratio: float
    """B over A."""
    low: float
    high: float
    level: float
    a: Side
    b: Side
    reason: str
    notes: tuple[str, ...] = ()


class Regression(msgspec.Struct, frozen=True, kw_only=True):
    regressed: bool
    reason: str


def compare(a: Sequence[Run], b: Sequence[Run], *, seed: int = 1) -> Comparison:
    """`a[i]` and `b[i]` were measured one after the other."""
    rounds = min(len(a), len(b))
    first, second = _sides(a), _sides(b)
    side_a, side_b = _side(a), _side(b)
    if first is None or second is None or not side_a.docs_per_s or not side_b.docs_per_s:
        return _cannot(side_a, side_b)
    ratio = side_b.docs_per_s / side_a.docs_per_s
    low, high = _interval(first[:rounds], second[:rounds], ratio, np.random.default_rng(seed))
    word = _word(low, high)
    return Comparison(
        word=word,
        ratio=ratio,
        low=low,
        high=high,
        level=LEVEL,
        a=side_a,
        b=side_b,
        reason=_reason(word, ratio, low, high),
        notes=_notes(a, b, rounds),
    )


def _sides(runs: Sequence[Run]) -> list[np.ndarray[Any, Any]] | None:
    """The blocks of each run; None where one has too few."""
    blocks = [blocks_of(run) for run in runs]
    return blocks if blocks and all(len(each) >= FEWEST_BLOCKS for each in blocks) else None


def _side(runs: Sequence[Run]) -> Side:
    rates = [statistics_of(run).docs_per_s for run in runs]
    return Side(
        docs_per_s=float(np.mean(rates)) if rates else 0.0,
        runs=len(runs),
        tokens_per_doc=float(np.mean([run.tokens_per_doc for run in runs])) if runs else 0.0,
    )


def _interval(
    a: list[np.ndarray[Any, Any]], b: list[np.ndarray[Any, Any]], ratio: float, draw: np.random.Generator
) -> tuple[float, float]:
    rounds = len(a)
    means = np.stack([np.stack([_resampled_means(each, draw) for each in side]) for side in (a, b)])
    chosen = draw.integers(0, rounds, size=(rounds, RESAMPLES))
    columns = np.arange(RESAMPLES)
    of_a, of_b = (means[side][chosen, columns].mean(axis=0) for side in (0, 1))
    logs = np.log(np.maximum(of_b, 1e-9) / np.maximum(of_a, 1e-9))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(logs, [tail, 1 - tail])
    middle, wider = math.log(ratio), _widening(rounds, min(len(each) for each in (*a, *b)))
    return math.exp(middle - (middle - low) * wider), math.exp(middle + (high - middle) * wider)


def _resampled_means(blocks: np.ndarray[Any, Any], draw: np.random.Generator) -> np.ndarray[Any, Any]:
    means: np.ndarray[Any, Any] = draw.choice(blocks, size=(len(blocks), RESAMPLES)).mean(axis=0)
    return means


def _widening(rounds: int, blocks: int) -> float:
    """A bootstrap of n things is too narrow by the square root of n/(n-1), and knows nothing of Student."""
    n = rounds if rounds > 1 else blocks
    return math.sqrt(n / (n - 1)) * student(LEVEL, max(n - 1, 2)) / NormalDist().inv_cdf(0.5 + LEVEL / 2)


def _word(low: float, high: float) -> Word:
    if low >= 1 - SAME and high <= 1 + SAME:
        return "same"
    if low > 1:
        return "better"
    return "worse" if high < 1 else "cannot_tell"


def _reason(word: Word, ratio: float, low: float, high: float) -> str:
    told = f"B reaches {ratio:.3f} times A's documents/s ({low:.3f} to {high:.3f}, {LEVEL:.0%})"
    if word == "same":
        return f"{told}: within {SAME:.0%}, the same"
    if word == "cannot_tell":
        return f"{told}: both faster and slower are possible; repeat more often or measure longer"
    return told


def _notes(a: Sequence[Run], b: Sequence[Run], rounds: int) -> tuple[str, ...]:
    notes = []
    if rounds == 1:
        notes.append("one run a side: what differs from run to run (clocks, heat, neighbours) cannot be seen")
    elif rounds < ENOUGH_RUNS:
        notes.append(f"{rounds} runs a side: the spread between runs is known badly, the interval is wide")
    drifting = [
        name
        for name, runs in (("A", a), ("B", b))
        if any(statistics_of(run).steadiness.state == "drifting" for run in runs)
    ]
    if drifting:
        notes.append(f"no steady state in {' and '.join(drifting)}")
    return tuple(notes)


def _cannot(a: Side, b: Side) -> Comparison:
    ratio = b.docs_per_s / a.docs_per_s if a.docs_per_s else 0.0
    reason = f"too few requests in A or B for an interval (at least {FEWEST_BLOCKS} blocks of two): measure longer"
    return Comparison(word="cannot_tell", ratio=ratio, low=0.0, high=math.inf, level=LEVEL, a=a, b=b, reason=reason)


def regression_of(comparison: Comparison, most: float) -> Regression:
    """Against a baseline (A). A pipeline fails only where it is sure that B is slower, and by more than is allowed."""
    lost = 1 - comparison.ratio
    if comparison.word == "worse" and lost > most:
        return Regression(regressed=True, reason=f"{lost:.1%} slower than the baseline, {most:.1%} were allowed")
    if lost > most:
        return Regression(
            regressed=False,
            reason=f"{lost:.1%} slower than the baseline, but the measurement cannot tell that from chance",
        )
    return Regression(regressed=False, reason=f"{-lost:+.1%} against the baseline, -{most:.1%} were allowed")
