"""Latencies in bins of equal ratio: from microseconds to minutes, one picture. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Bin(NamedTuple):
    low: float
    high: float
    size: int


def log_bins(values: np.ndarray[Any, Any], bins: int) -> list[Bin]:
    """At least a tenth wide in all: equal values make one bar and not none."""
    if not len(values):
        return []
    low, high = max(float(values.min()), 1e-3), max(float(values.max()), 1e-3)
    if high / low < 1.1:
        low, high = low / 1.05, high * 1.05
    edges = np.geomspace(low * 0.9999, high * 1.0001, bins + 1)
    counts, _ = np.histogram(values, bins=edges)
    return [Bin(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]
