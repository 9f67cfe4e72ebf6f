"""What earlier runs on this machine measured against what was predicted. Pure; operations/calibration.py stores it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from orchestrator.plan.records import Memory, Plan, Term

SERVED_ELSEWHERE = frozenset({"Open WebUI", "ChromaDB", "margin", "rounding of the share", "correction"})
"""Terms that are no part of the embedding server's own use: not compared."""


class MeasuredTerm(msgspec.Struct, frozen=True, kw_only=True):
    """One term of the need, as the server itself told it after loading."""

    name: str
    """As in the plan's memory; `size` and `size_vram` are Ollama's words for the whole model."""
    measured_bytes: int
    predicted_bytes: int | None = None
    """None where the plan has no such term."""
    method: str
    """What was read, for example `vLLM's log: Model loading took 7.54 GiB`."""


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
    """What was read: RSS, NVML per process, the container's memory, Ollama /api/ps."""
    terms: tuple[MeasuredTerm, ...] = ()
    """What the server's own log or API tells of single terms."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    when: str
    what: str
    predicted_bytes: int
    measured_bytes: int
    error: float
    """(predicted - measured) / measured: positive = planned too much."""
    terms: tuple[MeasuredTerm, ...] = ()


def predicted_bytes(memory: Memory) -> int:
    return sum(term.bytes for term in memory.terms if term.name not in SERVED_ELSEWHERE)


def predicted_use(plan: Plan) -> int:
    """What NVML or the kernel should show for the embedding server. vLLM on a card takes its whole share, margin and
    rounding included."""
    takes_its_share = plan.device.kind == "gpu" and plan.gpu_memory_share is not None
    return plan.memory.need_bytes if takes_its_share else predicted_bytes(plan.memory)


def measurement_of(
    plan: Plan, measured_bytes: int, method: str, when: str, terms: tuple[MeasuredTerm, ...] = ()
) -> Measurement:
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
        predicted_bytes=predicted_use(plan),
        measured_bytes=measured_bytes,
        method=method,
        terms=terms,
    )


def compare(measurements: Iterable[Measurement]) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            when=one.when,
            what=f"{one.model}, {one.backend} ({one.backend_build}) {one.dtype}, {one.max_length} tokens, {one.method}",
            predicted_bytes=one.predicted_bytes,
            measured_bytes=one.measured_bytes,
            error=(one.predicted_bytes - one.measured_bytes) / one.measured_bytes if one.measured_bytes else 0.0,
            terms=one.terms,
        )
        for one in measurements
    )


def seen_terms(alike: Iterable[Measurement], batched_tokens: int, parallel: int) -> tuple[Term, ...]:
    """What vLLM's profiler told of single terms, the largest of all runs.

    Weights do not depend on the settings, activations on the batch, graphs also on the sequences in flight. Its cache
    is no need: it takes what is left of the share.
    """
    largest: dict[str, Term] = {}
    for one in alike:
        told = {term.name: term for term in one.terms}
        if one.batched_tokens != batched_tokens:
            told.pop("activations", None)
        if (one.batched_tokens, one.parallel) != (batched_tokens, parallel):
            told.pop("cuda graphs", None)
        for name in ("weights", "activations", "cuda graphs"):
            if name in told and told[name].measured_bytes > (largest[name].bytes if name in largest else 0):
                source = f"measured: {told[name].method}, {one.when[:10]} on this machine"
                largest[name] = Term(name=name, bytes=told[name].measured_bytes, source=source)
    return tuple(largest.values())


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
