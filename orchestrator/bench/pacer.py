"""When the next request is due: a pure function of the time that passed and the hits so far, as in Vegeta."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random

from orchestrator.bench.records import Arrival

Pacer = Callable[[float, int], float | None]
"""(elapsed_s, hits) → the second, on the same clock, at which the next request is due; None: no more."""


def closed(until_s: float) -> Pacer:
    """As soon as there is room for one."""
    return lambda elapsed_s, hits: elapsed_s if elapsed_s < until_s else None


def constant(rate: float, until_s: float, phase_s: float = 0.0) -> Pacer:
    """`phase_s` keeps several workers from sending at the same instant."""

    def due(elapsed_s: float, hits: int) -> float | None:
        at_s = phase_s + hits / rate
        return at_s if at_s < until_s else None

    return due


def scheduled(times_s: Sequence[float]) -> Pacer:
    """At given times (ascending)."""
    return lambda elapsed_s, hits: times_s[hits] if hits < len(times_s) else None


def poisson_times(rate: float, until_s: float, chance: Random) -> tuple[float, ...]:
    """Arrivals of independent callers: exponential gaps. Several of them added up are Poisson again."""
    most = math.ceil(rate * until_s + 10 * math.sqrt(rate * until_s) + 10)
    times = tuple(accumulate(chance.expovariate(rate) for _ in range(most)))
    return times[: bisect_right(times, until_s)]


def pacer_of(arrival: Arrival, rate: float | None, until_s: float, *, worker: int, workers: int, seed: int) -> Pacer:
    """One worker's share of the load."""
    if arrival == "closed" or rate is None:
        return closed(until_s)
    if arrival == "constant":
        return constant(rate / workers, until_s, phase_s=worker / rate)
    return scheduled(poisson_times(rate / workers, until_s, Random(f"{seed}/{worker}")))  # noqa: S311
