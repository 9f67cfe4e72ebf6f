"""Arithmetic on vectors, without numpy: a verification compares hundreds, not millions. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

Numbers = Sequence[float]


def dot(left: Numbers, right: Numbers) -> float:
    return math.fsum(map(mul, left, right)) if len(left) == len(right) else math.nan


def norm(vector: Numbers) -> float:
    return math.sqrt(dot(vector, vector))


def cosine(left: Numbers, right: Numbers) -> float:
    """NaN for vectors of different length or without one: never above any floor, so never a pass."""
    lengths = norm(left) * norm(right)
    return dot(left, right) / lengths if lengths > 0 else math.nan


def is_finite(vector: Numbers) -> bool:
    return all(map(math.isfinite, vector))


def nearest(vector: Numbers, candidates: Sequence[Numbers]) -> int:
    """Index of the candidate with the largest dot product."""
    return max(range(len(candidates)), key=lambda i: dot(vector, candidates[i]))
