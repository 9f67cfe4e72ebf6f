"""The points of a sweep, and its knee: the load beyond which more of it buys waiting and not throughput. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import msgspec

from orchestrator.bench.records import Run
from orchestrator.bench.statistics import Interval, Latency, statistics_of

KNEE = 0.95
"""The smallest load that gives this share of the best throughput (estimate: the rest costs latency)."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    tokens_per_doc: float
    batch: int
    load: float
    """Requests in flight (closed loop) or requests per second (open loop)."""
    open_loop: bool
    docs_per_s: float
    interval: Interval | None
    latency: Latency
    error_share: float

    @property
    def label(self) -> str:
        return f"{self.load:g}/s" if self.open_loop else f"{self.load:g} at once"


def points_of(runs: Iterable[Run]) -> list[Point]:
    return sorted(map(_point, runs), key=lambda point: (point.tokens_per_doc, point.batch, point.load))


def _point(run: Run) -> Point:
    figures = statistics_of(run)
    return Point(
        tokens_per_doc=round(run.tokens_per_doc, 1),
        batch=run.load.batch,
        load=run.load.rate if run.load.rate is not None else run.load.concurrency,
        open_loop=run.load.rate is not None,
        docs_per_s=figures.docs_per_s,
        interval=figures.docs_per_s_interval,
        latency=figures.latency,
        error_share=figures.error_share,
    )


def lines_of(points: list[Point]) -> list[list[Point]]:
    """Points that differ in their load only: one curve each."""
    return [list(group) for _, group in groupby(points, key=lambda point: (point.tokens_per_doc, point.batch))]


def knee(line: list[Point]) -> Point | None:
    """None where there is nothing to choose from."""
    best = max((point.docs_per_s for point in line), default=0.0)
    if len(line) < 2 or best <= 0:
        return None
    return next(point for point in line if point.docs_per_s >= KNEE * best)


def knee_of(points: list[Point]) -> list[str]:
    """One sentence a curve."""
    said = []
    for line in lines_of(points):
        found = knee(line)
        if found is None:
            continue
        where = f"{found.tokens_per_doc:g} tokens, {found.batch} per request"
        tail = f"{found.label} gives {found.docs_per_s:,.0f} documents/s"
        last = found is line[-1]
        still = "; it still rose at the last point: go on" if last else f", {KNEE:.0%} of the best or more"
        said.append(f"knee at {where}: {tail}{still}")
    return said
