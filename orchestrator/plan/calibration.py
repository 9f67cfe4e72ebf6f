"""What earlier runs on this machine measured against what was predicted. Pure; operations/calibration.py stores it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestrator.plan.records import Memory, Plan, Term

SERVED_ELSEWHERE = frozenset({"Open WebUI", "ChromaDB", "margin", "rounding of the share", "correction"})
"""Terms that are no part of the embedding server's own use: not compared."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One embedding server after a verified start."""

    when: str
    model: str
    backend: str
    backend_build: str
    dtype: str
    device: str
    """The card's name, or `cpu`."""
    max_length: int
    batched_tokens: int
    parallel: int
    predicted_bytes: int
    """The embedding server's own terms, without margins and without other services."""
    measured_bytes: int
    method: str
    """What was read: RSS, NVML per process, vLLM's log, Ollama /api/ps."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    when: str
    what: str
    predicted_bytes: int
    measured_bytes: int
    error: float
    """(predicted - measured) / measured: positive = planned too much."""


def predicted_bytes(memory: Memory) -> int:
    return sum(term.bytes for term in memory.terms if term.name not in SERVED_ELSEWHERE)


def measurement_of(plan: Plan, measured_bytes: int, method: str, when: str) -> Measurement:
    return Measurement(
        when=when,
        model=plan.model,
        backend=plan.backend,
        backend_build=plan.backend_build,
        dtype=plan.weights.dtype,
        device=plan.device.name if plan.device.kind == "gpu" else "cpu",
        max_length=plan.max_length,
        batched_tokens=plan.batched_tokens,
        parallel=plan.parallel,
        predicted_bytes=predicted_bytes(plan.memory),
        measured_bytes=measured_bytes,
        method=method,
    )


def compare(measurements: Iterable[Measurement]) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            when=one.when,
            what=f"{one.model}, {one.backend} ({one.backend_build}) {one.dtype}, {one.max_length} tokens, {one.method}",
            predicted_bytes=one.predicted_bytes,
            measured_bytes=one.measured_bytes,
            error=(one.predicted_bytes - one.measured_bytes) / one.measured_bytes if one.measured_bytes else 0.0,
        )
        for one in measurements
    )


def corrected(memory: Memory, alike: Iterable[Measurement]) -> Memory:
    """Measured values first: the largest use that was seen with exactly these settings replaces the prediction.

    The margin stays as it was predicted, so that a correction downwards never eats it.
    """
    seen = max((one.measured_bytes for one in alike), default=None)
    if seen is None:
        return memory
    difference = seen - predicted_bytes(memory)
    term = Term(name="correction", bytes=difference, source=f"measured: {seen:,} B in an earlier run on this machine")
    need = memory.need_bytes + difference
    return Memory(
        need_bytes=need,
        free_bytes=memory.free_bytes,
        margin_bytes=memory.free_bytes - need,
        terms=(*memory.terms, term),
    )
