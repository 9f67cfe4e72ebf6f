"""Joules for the work that was done, and what the telemetry says of a run's conditions. Pure."""

from __future__ import annotations

import msgspec
import numpy as np

from orchestrator.bench.records import Run, Series
from orchestrator.bench.statistics import Statistics
from orchestrator.facts.gpu import THROTTLES

HINDERING = {"software_power_cap", "hardware_slowdown", "software_thermal", "hardware_thermal", "hardware_power_brake"}
"""Reasons that make a card slower than it could be; clocks that somebody set are part of the fingerprint."""
IDLE_SETTLES_S = 0.25
"""The last sample before the warm-up may already hold its first work."""


class Energy(msgspec.Struct, frozen=True, kw_only=True):
    """Of the card alone, over the measured time, idle included; the idle draw is told beside it."""

    joules: float
    source: str
    mean_w: float
    idle_w: float | None
    """Mean before the warm-up; None where nothing was read then."""
    j_per_million_tokens: float | None
    j_per_thousand_vectors: float | None
    j_per_million_tokens_above_idle: float | None


def energy_of(run: Run, figures: Statistics) -> Energy | None:
    """None where the power cannot be read."""
    power, counter = find(run, "gpu.power"), find(run, "gpu.energy")
    span = figures.measured_s
    joules, source = _from_counter(counter, span), "the card's own energy counter"
    if joules is None:
        joules, source = _integral(power, span), "power samples, summed over time"
    if joules is None:
        return None
    idle = _idle_w(power, -run.load.warmup_s - IDLE_SETTLES_S)
    tokens, documents = figures.tokens_per_s * span, figures.docs_per_s * span
    above = max(joules - idle * span, 0.0) if idle is not None else None
    return Energy(
        joules=joules,
        source=source,
        mean_w=joules / span,
        idle_w=idle,
        j_per_million_tokens=joules / tokens * 1e6 if tokens else None,
        j_per_thousand_vectors=joules / documents * 1e3 if documents else None,
        j_per_million_tokens_above_idle=above / tokens * 1e6 if tokens and above is not None else None,
    )


def find(run: Run, name: str) -> Series | None:
    return next((series for series in run.telemetry if series.name == name), None)


def within(series: Series, span: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The values of the measured time."""
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = series.value[(series.time_s >= 0) & (series.time_s <= span)]
    return values


def was_throttled(run: Run) -> tuple[str, ...]:
    series = find(run, "gpu.throttle")
    if series is None:
        return ()
    seen = 0
    for bits in within(series, run.load.duration_s):
        seen |= int(bits)
    return tuple(text.replace("_", " ") for bit, text in THROTTLES.items() if seen & bit and text in HINDERING)


def _from_counter(counter: Series | None, span: float) -> float | None:
    if counter is None or len(counter.value) < 2 or counter.time_s[0] > 0 or counter.time_s[-1] < span:
        return None
    at = np.interp([0.0, span], counter.time_s, counter.value)
    return float(at[1] - at[0]) or None


def _integral(power: Series | None, span: float) -> float | None:
    if power is None:
        return None
    values = within(power, span)
    return float(values.mean()) * span if len(values) > 1 else None


def _idle_w(power: Series | None, until_s: float) -> float | None:
    if power is None:
        return None
    idle = power.value[power.time_s < until_s]
    return float(idle.mean()) if len(idle) else None
