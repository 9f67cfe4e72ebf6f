import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.catalog.gpus import cards
from orchestrator.catalog.models import models
from orchestrator.facts.records import Gpu
from orchestrator.plan.memory import GIB, MIB, Load, Room, gguf, gpu_room, share_of, vllm_cpu, vllm_gpu

QWEN_4B = models()["qwen3-embedding-4b"]
MINILM = models()["all-minilm-l6-v2"]


def load(
    card=QWEN_4B, dtype="bfloat16", weights=int(7.5387 * GIB), length=2048, batch=2048, parallel=256, graphs=False
):
    return Load(
        card=card,
        dtype=dtype,
        weights_bytes=weights,
        weights_source="measured",
        max_length=length,
        batched_tokens=batch,
        parallel=parallel,
        graphs=graphs,
    )


def gpu(total_mib=12288, used_mib=0, reserved_mib=382, name="NVIDIA GeForce RTX 3060"):
    return Gpu(
        index=0,
        uuid="GPU-0",
        name=name,
        total_bytes=total_mib * MIB,
        used_bytes=used_mib * MIB,
        free_bytes=(total_mib - used_mib - reserved_mib) * MIB,
        reserved_bytes=reserved_mib * MIB,
    )


def rtx_3060():
    return next(card for card in cards() if card.key == "rtx3060_12gb")


def test_cuda_sees_less_than_nvml():
    """Measured on an RTX 3060: 11,906 of 12,288 MiB."""
    room = gpu_room(gpu(reserved_mib=0), rtx_3060())
    assert room.total_low_bytes == room.total_high_bytes == room.free_bytes == 11906 * MIB


def test_unknown_card_keeps_a_lower_and_an_upper_total():
    room = gpu_room(gpu(total_mib=10000, reserved_mib=0), None)
    assert room.total_low_bytes == int(10000 * MIB * 0.968)
    assert room.total_high_bytes == 10000 * MIB
    assert room.free_bytes == room.total_low_bytes


def test_used_memory_and_vram_limit_count():
    assert gpu_room(gpu(used_mib=4096), rtx_3060()).free_bytes == (11906 - 4096) * MIB
    assert gpu_room(gpu(), rtx_3060(), vram_bytes=5 * GIB).free_bytes == 5 * GIB
    assert gpu_room(gpu(used_mib=4096), rtx_3060(), reclaimable_bytes=1024 * MIB).free_bytes == (11906 - 3072) * MIB


def test_no_memory_told_is_no_room():
    unified = Gpu(index=0, uuid="u", name="Orin (nvgpu)", total_bytes=None, used_bytes=None, free_bytes=None)
    assert gpu_room(unified, None) is None


def test_qwen_4b_needs_what_public_logs_say():
    """Without KV cache and margins 8.2 to 8.9 GiB (facts 4): weights 7.54, activations and context 0.7, graphs up to
    0.7. Ours may be a little more, never less."""
    room = gpu_room(gpu(), rtx_3060())
    for graphs, low, high in ((False, 8.2, 8.9), (True, 8.9, 9.3)):
        memory, _ = vllm_gpu(load(graphs=graphs), room)
        kv = next(term.bytes for term in memory.terms if term.name == "kv cache")
        kept = {"margin", "rounding of the share", "kv cache"}
        without = sum(term.bytes for term in memory.terms if term.name not in kept)
        assert low * GIB < without < high * GIB
        assert kv == pytest.approx(4096 * 147456, rel=0.01)


def test_every_term_has_a_source_and_the_sum_is_the_need():
    memory, _ = vllm_gpu(load(), gpu_room(gpu(), rtx_3060()))
    assert all(term.source for term in memory.terms)
    assert sum(term.bytes for term in memory.terms) == memory.need_bytes
    assert memory.margin_bytes == memory.free_bytes - memory.need_bytes


def test_encoder_has_no_kv_cache():
    memory, _ = vllm_gpu(load(card=MINILM, dtype="float16", weights=46 * MIB), gpu_room(gpu(), rtx_3060()))
    assert next(term.bytes for term in memory.terms if term.name == "kv cache") == 0


@given(
    total=st.integers(2 * GIB, 200 * GIB),
    seen=st.floats(0.968, 1.0),
    weights=st.integers(50 * MIB, 16 * GIB),
    length=st.sampled_from([256, 2048, 8192, 32768]),
    batch=st.sampled_from([2048, 4096, 8192]),
)
def test_share_holds_for_every_total_that_cuda_may_report(total, seen, weights, length, batch):
    """vLLM's own two checks, at the total it really sees: ceil(total x share) <= free, and the budget is covered."""
    room = Room(free_bytes=int(total * 0.968), total_low_bytes=int(total * 0.968), total_high_bytes=total)
    memory, share = vllm_gpu(load(weights=weights, length=length, batch=batch), room)
    if memory.margin_bytes < 0:
        return
    cuda_total = int(total * seen)
    taken = math.ceil(cuda_total * share)
    context = next(term.bytes for term in memory.terms if term.name == "cuda context")
    budget = sum(t.bytes for t in memory.terms if t.name not in {"cuda context", "rounding of the share"})
    assert taken <= room.free_bytes - context
    assert taken >= budget or cuda_total < room.total_low_bytes


@given(budget=st.integers(1, 2**38), total=st.integers(2**28, 2**38))
def test_share_is_the_smallest_that_covers(budget, total):
    share = share_of(budget, total)
    assert math.ceil(total * share) >= budget
    assert share <= 0.001 or math.ceil(total * (round(share * 1000) - 1) / 1000) < budget


def test_ollama_formula_fits_the_two_public_readings():
    """`ollama ps` at context 4096 and num_batch 2048: 2.4 GB for 0.6B Q8_0 and 4.4 GB for 4B Q4_K_M (facts 4)."""
    for name, file, seen in (("qwen3-embedding-0.6b", 639150592, 2.4e9), ("qwen3-embedding-4b", 2496703776, 4.4e9)):
        model = models()[name]
        one = Load(
            card=model,
            dtype="Q",
            weights_bytes=file,
            weights_source="",
            max_length=4096,
            batched_tokens=2048,
            parallel=1,
        )
        memory = gguf(one, 64 * GIB, runtime=())
        without = sum(term.bytes for term in memory.terms if term.name != "margin")
        assert without == pytest.approx(seen, rel=0.03)


def test_cpu_share_is_of_the_node_and_covers_the_worker():
    node = Room(free_bytes=10 * GIB, total_low_bytes=15 * GIB, total_high_bytes=15 * GIB)
    memory, share = vllm_cpu(load(card=MINILM, dtype="float32", weights=90868376, batch=4096), 20 * GIB, node, ())
    names = ("weights", "activations", "kv cache", "vLLM worker")
    worker = sum(term.bytes for term in memory.terms if term.name in names)
    assert worker <= math.ceil(15 * GIB * share) < worker + 0.002 * 15 * GIB
    assert memory.need_bytes > 2.0e9
