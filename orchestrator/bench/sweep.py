"""Which loads a sweep makes, and when a curve has shown its knee. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from orchestrator.bench.records import Load

GAIN = 1.03
"""A load that brings less than this is flat (estimate: above the scatter of points of some seconds)."""
FLAT = 2
"""So many flat points in a row, and the rest of the curve would only wait longer."""


class Axes(msgspec.Struct, frozen=True, kw_only=True):
    tokens: tuple[str, ...]
    batches: tuple[int, ...]
    concurrencies: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    """Requests per second; open loop, in place of `concurrencies`."""


def curves(base: Load, axes: Axes) -> Iterator[tuple[Load, ...]]:
    """One curve per length and batch: the same documents at a rising load."""
    for tokens in axes.tokens:
        for batch in axes.batches:
            shaped = msgspec.structs.replace(base, tokens=tokens, batch=batch)
            if axes.rates:
                yield tuple(msgspec.structs.replace(shaped, rate=rate) for rate in sorted(axes.rates))
            else:
                loads = sorted(axes.concurrencies)
                yield tuple(msgspec.structs.replace(shaped, concurrency=load) for load in loads)


def is_flat(docs_per_s: Sequence[float]) -> bool:
    """The last loads brought nothing over the best before them."""
    if len(docs_per_s) <= FLAT:
        return False
    return max(docs_per_s[-FLAT:]) < GAIN * max(docs_per_s[:-FLAT])
