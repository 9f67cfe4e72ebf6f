"""Whether a candidate fits this machine, how, and why not. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from orchestrator.facts.records import Facts, Gpu
from orchestrator.plan.calibration import Measurement, corrected, seen_terms
from orchestrator.plan.candidates import Candidate
from orchestrator.plan.memory import (
    CHROMA_BYTES,
    CUDA_CONTEXT_BYTES,
    LLAMACPP_RUNTIME_BYTES,
    OLLAMA_SERVER_BYTES,
    OPEN_WEBUI_BYTES,
    Load,
    Room,
    gguf,
    gpu_room,
    vllm_cpu,
    vllm_gpu,
)
from orchestrator.plan.records import Limits, Memory, Term
from orchestrator.plan.shape import is_causal
from orchestrator.plan.situation import Situation
from orchestrator.plan.spec import Spec

WANTED_LENGTH = {"vllm": 8192, "ollama": 2048, "llamacpp": 2048}
"""Where nothing was asked for. Chunks of 1000 characters are at most about 1000 tokens in the densest scripts; vLLM's
cache makes 8192 cheap, llama.cpp's output buffer grows with the batch, which must hold the longest input whole."""
SHORTEST_LENGTH = 2048
"""Not shortened below this to make a model fit: a chunk must never be refused."""
WANTED_BATCH_GPU = (4096, 2048)
"""Compute-bound above about 71 tokens on an RTX 3060 and 300 on an H100 (derived): more only costs activations."""
WANTED_BATCH_CPU = 4096
"""Measured with (facts/embedding-servers.md 1.3); one core is full long before."""
SEQUENCES = {"gpu": 256, "cpu": 64}
SLOTS_ENCODER = 16
SLOTS_DECODER = 4
LARGEST_BATCH = 65536


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    load: Load
    memory: Memory
    share: float | None
    limits: Limits | None = None

    @property
    def holds(self) -> bool:
        return self.memory.margin_bytes >= 0


Weigh = Callable[[Load], Fit]


def best_fit(candidate: Candidate, situation: Situation) -> Fit | None:
    """The first load that fits, the longest inputs first; else the smallest that was tried, which does not.

    None where the device tells no memory.
    """
    spec = situation.spec
    predict = _scales(candidate, spec, situation.facts)
    if predict is None:
        return None

    alike = _alike(candidate, situation.measured)

    def weigh(load: Load) -> Fit:
        seen = seen_terms(alike, load.batched_tokens, load.parallel)
        return _with_experience(predict(msgspec.structs.replace(load, seen=seen)), candidate, alike)

    tried: Fit | None = None
    for load in _loads(candidate, spec):
        tried = weigh(load)
        if tried.holds:
            return msgspec.structs.replace(tried, limits=_limits(tried, weigh, candidate, spec))
    return tried


def _alike(candidate: Candidate, measured: tuple[Measurement, ...]) -> tuple[Measurement, ...]:
    """Earlier runs of this model in this format by this backend on this kind of device."""
    key = (candidate.card.id, candidate.backend, candidate.dtype, candidate.gpu.name if candidate.gpu else "cpu")
    return tuple(one for one in measured if (one.model, one.backend, one.dtype, one.device) == key)


def _with_experience(fit: Fit, candidate: Candidate, alike: tuple[Measurement, ...]) -> Fit:
    """What an earlier run with exactly these settings used replaces the prediction. Not for vLLM on a card: it takes
    its whole share, whatever it uses, and single terms are corrected instead (`seen_terms`)."""
    if not alike or (candidate.gpu is not None and candidate.backend == "vllm"):
        return fit
    size = (fit.load.max_length, fit.load.batched_tokens, fit.load.parallel)
    same = [one for one in alike if (one.max_length, one.batched_tokens, one.parallel) == size]
    return msgspec.structs.replace(fit, memory=corrected(fit.memory, same))


def _loads(candidate: Candidate, spec: Spec) -> Iterator[Load]:
    """Long inputs before large batches before graphs; everything that was asked for stays as asked."""
    for length in _lengths(candidate, spec):
        for batch, parallel, graphs in _batches(candidate, spec, length):
            yield Load(
                card=candidate.card,
                dtype=candidate.dtype,
                weights_bytes=candidate.weights_bytes,
                weights_source=candidate.weights_source,
                max_length=length,
                batched_tokens=batch,
                parallel=parallel,
                graphs=graphs,
            )


def needs_whole_inputs(candidate: Candidate) -> bool:
    """Whether an input must fit one batch: llama.cpp's always, vLLM's where the model cannot be prefilled in pieces."""
    return candidate.backend != "vllm" or is_causal(candidate.card) is False


def _lengths(candidate: Candidate, spec: Spec) -> list[int]:
    if spec.max_length is not None:
        return [spec.max_length]
    longest = min(candidate.card.ctx, WANTED_LENGTH[candidate.backend])
    if spec.batched_tokens and needs_whole_inputs(candidate):
        longest = min(longest, spec.batched_tokens)
    return [longest, *(length for length in (4096, 2048) if SHORTEST_LENGTH <= length < longest)]


def _batches(candidate: Candidate, spec: Spec, length: int) -> list[tuple[int, int, bool]]:
    """(batched tokens, parallel, CUDA graphs). Only a causal model may be prefilled in pieces; every other one needs a
    batch that holds its longest input whole, and llama.cpp always does."""
    causal = is_causal(candidate.card) is not False
    if candidate.backend != "vllm":
        slots = SLOTS_DECODER if causal else SLOTS_ENCODER
        batch = max(spec.batched_tokens or length, length)
        counts = [1] if candidate.backend == "ollama" else sorted({slots, 1}, reverse=True)
        return [(batch, count, False) for count in counts]
    least = 1 if causal else length
    if candidate.gpu is None:
        return [(max(spec.batched_tokens or WANTED_BATCH_CPU, least), SEQUENCES["cpu"], False)]
    wanted = (spec.batched_tokens,) if spec.batched_tokens else WANTED_BATCH_GPU
    batches = list(dict.fromkeys(max(batch, least) for batch in wanted))
    options = [(batch, SEQUENCES["gpu"], True) for batch in batches]
    return [*options, (batches[-1], SEQUENCES["gpu"], False)]


def _scales(candidate: Candidate, spec: Spec, facts: Facts) -> Weigh | None:
    """The function that weighs a load on the candidate's device."""
    if candidate.gpu is None:
        return _cpu_scales(candidate, spec, facts)
    room = room_of(candidate.gpu, candidate, spec, facts)
    if room is None:
        return None
    if candidate.backend == "vllm":

        def vllm(load: Load) -> Fit:
            memory, share = vllm_gpu(load, room)
            return Fit(load=load, memory=memory, share=share)

        return vllm
    context = Term(name="cuda context", bytes=CUDA_CONTEXT_BYTES, source="vendor: Ollama's minimum per GPU, 457 MiB")

    def llama(load: Load) -> Fit:
        return Fit(load=load, memory=gguf(load, room.free_bytes, runtime=(context,)), share=None)

    return llama


def room_of(gpu: Gpu, candidate: Candidate, spec: Spec, facts: Facts) -> Room | None:
    if gpu.unified_memory:
        return _unified_room(gpu, spec, facts)
    return gpu_room(gpu, candidate.known, facts.reclaimable_bytes.get(gpu.uuid, 0), spec.vram_bytes)


def _unified_room(gpu: Gpu, spec: Spec, facts: Facts) -> Room | None:
    """The card works in the machine's RAM: what is free there is what it has."""
    if gpu.total_bytes is not None and gpu.free_bytes is not None and gpu.total_bytes < facts.host.memory_total_bytes:
        return gpu_room(gpu, None, facts.reclaimable_bytes.get(gpu.uuid, 0), spec.vram_bytes)
    total, free = facts.host.memory_total_bytes, free_ram(facts)
    free = min(free, spec.vram_bytes) if spec.vram_bytes is not None else free
    return Room(
        free_bytes=free, total_low_bytes=total, total_high_bytes=total, note="unified memory: the machine's RAM"
    )


def _cpu_scales(candidate: Candidate, spec: Spec, facts: Facts) -> Weigh:
    free, others = free_ram(facts), other_services(spec)
    if candidate.backend == "vllm":
        node = memory_node(facts)

        def vllm(load: Load) -> Fit:
            memory, share = vllm_cpu(load, min(free, _free_with_node(free, node, others)), node, others)
            return Fit(load=load, memory=memory, share=share)

        return vllm
    name, size = ("llama.cpp runtime", LLAMACPP_RUNTIME_BYTES)
    runtime = [
        Term(name=name, bytes=size, source="measured: 164 MB RSS under load, of it a 46 MB file and 20 MB of buffers")
    ]
    if candidate.backend == "ollama":
        runtime.append(Term(name="Ollama server", bytes=OLLAMA_SERVER_BYTES, source="estimate"))

    def llama(load: Load) -> Fit:
        return Fit(load=load, memory=gguf(load, free, runtime=tuple(runtime), others=others), share=None)

    return llama


def _free_with_node(free: int, node: Room, others: tuple[Term, ...]) -> int:
    """vLLM's worker stays on one node; the rest of the stack may live on another."""
    return min(free, node.free_bytes + sum(term.bytes for term in others))


def free_ram(facts: Facts) -> int:
    """What is available, the cgroup limit counted, and what our own running services would give back."""
    host = facts.host
    free = host.memory_available_bytes
    if host.cgroup_limit_bytes is not None:
        free = min(free, max(host.cgroup_limit_bytes - (host.cgroup_used_bytes or 0), 0))
    return free + facts.reclaimable_bytes.get("host", 0)


def memory_node(facts: Facts) -> Room:
    """The NUMA node as vLLM counts it: its total cut to the cgroup limit, its free memory to what that leaves."""
    host = facts.host
    total = min(host.node_total_bytes or host.memory_total_bytes, host.cgroup_limit_bytes or host.memory_total_bytes)
    node_free = host.node_available_bytes
    free = free_ram(facts) if node_free is None else node_free + facts.reclaimable_bytes.get("host", 0)
    return Room(free_bytes=min(free, free_ram(facts)), total_low_bytes=total, total_high_bytes=total)


def other_services(spec: Spec) -> tuple[Term, ...]:
    """On a machine without a card the rest of the stack shares the RAM."""
    terms = []
    if "webui" in spec.services:
        terms.append(Term(name="Open WebUI", bytes=OPEN_WEBUI_BYTES, source="measured: 794 MB RSS idle, and an ingest"))
    if "vectors" in spec.services:
        terms.append(Term(name="ChromaDB", bytes=CHROMA_BYTES, source="measured: 301 MB RSS with 42 collections"))
    return tuple(terms)


def _limits(fit: Fit, weigh: Weigh, candidate: Candidate, spec: Spec) -> Limits:
    """How far the length and the batch could go, everything else as it is; a batch that was asked for stays."""
    load, card = fit.load, candidate.card
    whole = needs_whole_inputs(candidate)
    longest = max(card.ctx, load.max_length)
    if whole and spec.batched_tokens:
        longest = min(longest, load.batched_tokens)

    def longer(length: int) -> bool:
        batch = max(load.batched_tokens, length) if whole else load.batched_tokens
        return weigh(msgspec.structs.replace(load, max_length=length, batched_tokens=batch)).holds

    def wider(batch: int) -> bool:
        return weigh(msgspec.structs.replace(load, batched_tokens=batch)).holds

    return Limits(
        max_length=_largest(longer, load.max_length, longest),
        batched_tokens=_largest(wider, load.batched_tokens, max(LARGEST_BATCH, load.batched_tokens)),
    )


def _largest(fits: Callable[[int], bool], low: int, high: int) -> int:
    """The largest number in [low, high] that fits, `low` being known to."""
    if fits(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
