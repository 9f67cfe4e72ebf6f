"""What an embedding server needs in memory, term by term, each with its source. Pure.

Sources: shared facts `models-and-gpus.md` section 4, `embedding-servers.md` 1.3, 1.8 and 2.3, unless a term says more.
"""

from __future__ import annotations

import math

import msgspec

from orchestrator.catalog.gpus import Card
from orchestrator.catalog.models import Model
from orchestrator.facts.records import Gpu
from orchestrator.plan.records import Memory, Term
from orchestrator.plan.shape import BYTES_OF_DTYPE, kv_bytes_per_token, shape_of

GIB = 2**30
MIB = 2**20

CUDA_CONTEXT_BYTES = 457 * MIB
"""Vendor: Ollama keeps this much per GPU; gguf-parser plans 250 MiB. The larger one."""
CUDA_TOTAL_SHARE = 0.968
"""Measured: CUDA saw 11,906 of NVML's 12,288 MiB on an RTX 3060, the lowest share of five cards. Lower bound."""
VLLM_CUDA_GRAPHS_BYTES = 707 * MIB
"""Measured: 0.69 GiB actual (0.61 estimated by vLLM) with a 7.52 GiB model. Used for every model: an upper bound."""
VLLM_CUDA_OTHER_BYTES = 256 * MIB
"""Estimate: cuBLAS and attention workspaces beside the context; the 0.68 GiB measured for activations and all the rest
of Qwen3-4B leave 0.2 to 0.3 GiB for it."""
ACTIVATION_SLACK = 1.5
"""Estimate: fragmentation of the allocator over the live tensors of one layer."""
KV_BLOCK_CUDA = 16
KV_BLOCK_CPU = 128
"""Tokens per block; 128 read in vllm/platforms/cpu.py of 0.32.0."""
WEIGHTS_OVERHEAD = 1.0065
"""Measured: 7.5387 GiB loaded where the parameters of Qwen3-Embedding-4B are 7.4911 GiB."""
SHARE_STEP = 0.001

VLLM_CPU_API_BYTES = 680 * 10**6
VLLM_CPU_ENGINE_BYTES = 611 * 10**6
VLLM_CPU_WORKER_BYTES = 800 * 10**6
"""Measured with MiniLM, each process's RSS: 680, 611 and 888 MB (90 MB of it weights). Shared pages count twice, so the
sum is an upper bound."""
LLAMACPP_RUNTIME_BYTES = 98 * 10**6
"""Measured: 164 MB RSS after `up`'s verification, of it a 46 MB file and 20 MB of buffers (512 tokens, 16 slots); 138
MB after 192 short documents, 75 MB before the first request."""
OLLAMA_SERVER_BYTES = 100 * 10**6
"""Estimate: the Go server beside the runner that holds the model."""
OPEN_WEBUI_BYTES = 1000 * 10**6
"""Measured: 794 MB RSS idle with an external embedder; 200 MB more for a running ingest (estimate)."""
CHROMA_BYTES = 301 * 10**6
"""Measured: 118 MB empty, 301 MB with 42 collections."""


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of one device that a plan may use."""

    free_bytes: int
    total_low_bytes: int
    """The least that the backend may see as this device's total. Shares are sized with it, so that they suffice."""
    total_high_bytes: int
    """The most that it may see. The start-up check is satisfied with it, so that it cannot fail."""
    note: str = ""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run a model, as far as memory is concerned."""

    card: Model
    dtype: str
    weights_bytes: int
    weights_source: str
    max_length: int
    batched_tokens: int
    parallel: int
    """vLLM's sequences in flight, llama.cpp's and Ollama's slots."""
    graphs: bool = False
    """CUDA graphs; without them vLLM runs with --enforce-eager."""
    seen: tuple[Term, ...] = ()
    """Terms that vLLM itself measured in an earlier run on this machine: they come before the prediction."""


def gpu_room(gpu: Gpu, known: Card | None, reclaimable_bytes: int = 0, vram_bytes: int | None = None) -> Room | None:
    """Free memory counts, not total, and CUDA's, not NVML's. None where the driver tells no memory."""
    if gpu.total_bytes is None or gpu.free_bytes is None:
        return None
    low, high, note = _cuda_total(gpu, known)
    used = gpu.total_bytes - gpu.free_bytes - (gpu.reserved_bytes or 0)
    free = min(gpu.free_bytes, low - max(used, 0)) + reclaimable_bytes
    free = max(min(free, low), 0)
    if vram_bytes is not None and vram_bytes < free:
        free, note = vram_bytes, f"{note}; limited to what was asked for (--vram)"
    return Room(free_bytes=free, total_low_bytes=low, total_high_bytes=high, note=note)


def _cuda_total(gpu: Gpu, known: Card | None) -> tuple[int, int, str]:
    total = gpu.total_bytes or 0
    seen = known.cuda_visible if known and gpu.parent_uuid is None else None
    if seen is not None and abs(total - seen.nvml_mib * MIB) < 64 * MIB:
        cuda = seen.cuda_mib * MIB
        return cuda, cuda, f"CUDA sees {cuda / MIB:,.0f} of {total / MIB:,.0f} MiB (measured, {seen.source})"
    low = int(total * CUDA_TOTAL_SHARE)
    return low, total, f"CUDA sees at least {CUDA_TOTAL_SHARE:.1%} of NVML's total (measured on an RTX 3060)"


def vllm_gpu(load: Load, room: Room) -> tuple[Memory, float]:
    """The need on the card and the smallest safe share of its total.

    vLLM takes the whole share, whatever the model needs: ceil(total x share). The share covers the budget at the lowest
    total that CUDA may report, and is counted against the free memory at the highest: both checks hold by construction.
    """
    terms = [
        Term(name="weights", bytes=load.weights_bytes, source=load.weights_source),
        _activations(load, ACTIVATION_SLACK),
        _kv_cache(load, KV_BLOCK_CUDA),
        Term(name="cuda workspaces", bytes=VLLM_CUDA_OTHER_BYTES, source="estimate: cuBLAS, attention, sampler"),
    ]
    if load.graphs:
        terms.append(Term(name="cuda graphs", bytes=VLLM_CUDA_GRAPHS_BYTES, source="measured: 0.69 GiB, vLLM 0.19"))
    seen = {term.name: term for term in load.seen}
    terms = [seen.get(term.name, term) for term in terms]
    terms.append(_margin(terms, room))
    budget = sum(term.bytes for term in terms)
    share = share_of(budget, room.total_low_bytes)
    taken = math.ceil(room.total_high_bytes * share)
    terms += [
        Term(
            name="rounding of the share",
            bytes=max(taken - budget, 0),
            source=f"derived: vLLM takes ceil({room.total_high_bytes / GIB:.2f} GiB x {share})",
        ),
        Term(name="cuda context", bytes=CUDA_CONTEXT_BYTES, source="vendor: Ollama's minimum per GPU, 457 MiB"),
    ]
    return _memory(terms, room.free_bytes), share


def share_of(budget_bytes: int, total_bytes: int) -> float:
    """The smallest share, in thousandths, with ceil(total x share) >= budget."""
    steps = math.ceil(budget_bytes / total_bytes / SHARE_STEP)
    while math.ceil(total_bytes * (steps / 1000)) < budget_bytes:
        steps += 1
    return steps / 1000


def vllm_cpu(load: Load, free_bytes: int, node: Room, others: tuple[Term, ...]) -> tuple[Memory, float]:
    """RAM for the three processes, and the worker's share of its NUMA node.

    The share is only vLLM's start-up check (ceil(total x share) <= available on the node); an encoder allocates nothing
    from it. A decoder's cache is given in bytes instead, which the check then uses.
    """
    worker = [
        Term(name="weights", bytes=load.weights_bytes, source=load.weights_source),
        _activations(load, ACTIVATION_SLACK),
        _kv_cache(load, KV_BLOCK_CPU),
        Term(name="vLLM worker", bytes=VLLM_CPU_WORKER_BYTES, source="measured: 888 MB RSS with 90 MB of weights"),
    ]
    rest = [
        Term(name="vLLM API server", bytes=VLLM_CPU_API_BYTES, source="measured: RSS with MiniLM"),
        Term(name="vLLM engine core", bytes=VLLM_CPU_ENGINE_BYTES, source="measured: RSS with MiniLM"),
        *others,
    ]
    terms = [*worker, *rest]
    terms.append(Term(name="margin", bytes=sum(t.bytes for t in terms) // 10, source="estimate: a tenth"))
    budget = sum(term.bytes for term in worker)
    share = share_of(budget, max(node.total_low_bytes, 1))
    return _memory(terms, free_bytes), min(share, 1.0)


def gguf(load: Load, free_bytes: int, *, runtime: tuple[Term, ...], others: tuple[Term, ...] = ()) -> Memory:
    """llama.cpp and Ollama (which runs llama.cpp): file, cache for every slot, and the buffer of one batch."""
    terms = [
        Term(name="weights", bytes=load.weights_bytes, source=load.weights_source),
        _kv_slots(load),
        _compute_buffer(load),
        *runtime,
        *others,
    ]
    terms.append(
        Term(
            name="margin",
            bytes=max(sum(t.bytes for t in terms) // 20, 64 * MIB),
            source="estimate: a twentieth, at least 64 MiB",
        )
    )
    return _memory(terms, free_bytes)


def _activations(load: Load, slack: float) -> Term:
    """The live tensors of one layer at the largest batch: residual, attention, both halves of the feed-forward; and
    the pooler's float32 copy of the hidden states."""
    shape, tokens, width = shape_of(load.card), load.batched_tokens, BYTES_OF_DTYPE[load.dtype]
    per_token = width * (2 * shape.hidden + 3 * shape.query_dim + 3 * shape.intermediate) + 4 * shape.hidden
    guessed = f"; {', '.join(shape.estimated)} from the vector's size" if shape.estimated else ""
    return Term(
        name="activations",
        bytes=int(tokens * per_token * slack),
        source=f"derived: {tokens} tokens x {per_token} B x {slack} (one layer's live tensors){guessed}",
    )


def _kv_cache(load: Load, block: int) -> Term:
    """Room for one input of full length and one full batch of others: pooling requests end with their prefill."""
    per_token = kv_bytes_per_token(load.card, BYTES_OF_DTYPE[load.dtype]) or 0
    if per_token == 0:
        return Term(name="kv cache", bytes=0, source="measured: encoder-only models allocate none")
    tokens = kv_tokens(load, block)
    return Term(
        name="kv cache",
        bytes=tokens * per_token,
        source=f"derived: {tokens} tokens x {per_token} B (one input at the limit and one full batch)",
    )


def kv_tokens(load: Load, block: int) -> int:
    return math.ceil((load.max_length + load.batched_tokens) / block + 1) * block


def _kv_slots(load: Load) -> Term:
    per_token = kv_bytes_per_token(load.card) or 0
    if per_token == 0:
        return Term(name="kv cache", bytes=0, source="derived: an encoder keeps none")
    return Term(
        name="kv cache",
        bytes=load.max_length * load.parallel * per_token,
        source=f"derived: {load.parallel} slots x {load.max_length} tokens x {per_token} B (16 bit)",
    )


def _compute_buffer(load: Load) -> Term:
    shape, batch = shape_of(load.card), load.batched_tokens
    per_token = kv_bytes_per_token(load.card) or 0
    if per_token and load.card.vocab:
        return Term(
            name="output buffer",
            bytes=batch * load.card.vocab * 4,
            source=f"derived: {batch} tokens x vocabulary {load.card.vocab} x 4 B (fits two `ollama ps` readings)",
        )
    tensors = batch * (2 * shape.hidden + 2 * shape.intermediate) * 4 + shape.heads * batch * batch * 4
    return Term(
        name="compute buffer",
        bytes=tensors,
        source=f"derived: one layer at {batch} tokens in float32, attention over the whole batch",
    )


def _margin(terms: list[Term], room: Room) -> Term:
    return Term(
        name="margin",
        bytes=max(sum(t.bytes for t in terms) // 50, room.total_low_bytes // 100, 128 * MIB),
        source="estimate: 2 % of the need, 1 % of the card, at least 128 MiB",
    )


def _memory(terms: list[Term], free_bytes: int) -> Memory:
    need = sum(term.bytes for term in terms)
    return Memory(need_bytes=need, free_bytes=free_bytes, margin_bytes=free_bytes - need, terms=tuple(terms))
