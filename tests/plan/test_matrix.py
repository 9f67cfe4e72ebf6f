"""No plan ever needs more than is free; every refusal is right by the same arithmetic."""

import math

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.catalog.gpus import cards, match
from orchestrator.catalog.models import models
from orchestrator.catalog.pins import load_pins
from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import Gpu
from orchestrator.plan.choose import choose
from orchestrator.plan.memory import CUDA_TOTAL_SHARE, gpu_room
from orchestrator.plan.spec import Spec

GIB = 2**30
NEEDS_MEMORY = "not_enough_memory"


def gpu_of(card, used_share):
    total = int(card.memory_gib * GIB)
    major, minor = str(card.compute_capability).split(".")
    return Gpu(
        index=0,
        uuid="GPU-0",
        name=f"NVIDIA {card.nvml_names[0]}",
        total_bytes=total,
        used_bytes=int(total * used_share),
        free_bytes=total - int(total * used_share),
        compute_capability=(int(major), int(minor)),
    )


def outcome(spec, facts):
    """(plan or None, rejected)."""
    try:
        decision = choose(spec, facts, models(), cards(), load_pins())
    except OrchestratorError as error:
        assert error.code == "no_plan"
        return None, error.data["rejected"]
    return decision.plan, decision.rejected


def check(plan, rejected, gpu):
    if plan is not None:
        memory = plan.memory
        assert memory.need_bytes <= memory.free_bytes <= gpu.free_bytes
        assert memory.need_bytes == sum(term.bytes for term in memory.terms)
        assert all(term.bytes >= 0 and term.source for term in memory.terms)
        assert memory.need_bytes > plan.weights.bytes
        assert plan.max_length <= plan.limits.max_length
        if plan.backend == "vllm":
            assert gpu.compute_capability >= (7, 5)
            assert plan.weights.dtype != "bfloat16" or gpu.compute_capability >= (8, 0)
            # vLLM's start-up check at the most and at the least that CUDA may report as the card's total.
            assert math.ceil(gpu.total_bytes * CUDA_TOTAL_SHARE * plan.gpu_memory_share) <= memory.free_bytes
            assert plan.backend_args["--gpu-memory-utilization"] == plan.gpu_memory_share
        else:
            assert plan.batched_tokens >= plan.max_length
    for one in rejected:
        assert one.reason
        if one.code == NEEDS_MEMORY:
            assert one.need_bytes > one.free_bytes
        elif one.need_bytes is not None:
            assert one.need_bytes <= one.free_bytes


@pytest.mark.parametrize("used_share", [0.0, 0.25, 0.5, 0.75])
def test_every_card_every_model(with_cards, used_share):
    base = with_cards("RTX 3090")
    assert len(cards()) >= 30
    planned = 0
    for card in cards():
        gpu = gpu_of(card, used_share)
        facts = msgspec.structs.replace(base, gpu=msgspec.structs.replace(base.gpu, gpus=(gpu,)))
        for name in models():
            plan, rejected = outcome(Spec(model=name), facts)
            check(plan, rejected, gpu)
            assert plan is not None or rejected
            planned += plan is not None
    assert planned > 300


def with_free(facts, gpu, free_bytes):
    """The same card with so much in use that CUDA has exactly this much free; None where the card is too small."""
    hidden = gpu.total_bytes - (gpu_room(gpu, match(gpu.name, gpu.total_bytes, cards())).total_low_bytes)
    if free_bytes + hidden > gpu.total_bytes:
        return None
    used = gpu.total_bytes - free_bytes - hidden
    changed = msgspec.structs.replace(gpu, used_bytes=used, free_bytes=gpu.total_bytes - used)
    return msgspec.structs.replace(facts, gpu=msgspec.structs.replace(facts.gpu, gpus=(changed,)))


@pytest.mark.parametrize("used_share", [0.5, 0.75])
def test_every_refusal_names_the_byte_from_which_it_would_fit(with_cards, used_share):
    """`free this much`: with the need that the refusal shows there is a plan; with a byte less there is none."""
    base = with_cards("RTX 3090")
    tried = 0
    for card in cards():
        gpu = gpu_of(card, used_share)
        facts = msgspec.structs.replace(base, gpu=msgspec.structs.replace(base.gpu, gpus=(gpu,)))
        for name in ("qwen3-embedding-8b", "qwen3-embedding-4b", "qwen3-embedding-0.6b"):
            for one in outcome(Spec(model=name), facts)[1]:
                if one.code != NEEDS_MEMORY or (enough := with_free(base, gpu, one.need_bytes)) is None:
                    continue
                tried += 1
                backend = one.candidate.split()[1]
                plan, _ = outcome(Spec(model=name, backend=backend), enough)
                assert plan is not None
                assert plan.memory.need_bytes == one.need_bytes == plan.memory.free_bytes
                assert outcome(Spec(model=name, backend=backend), with_free(base, gpu, one.need_bytes - 1))[0] is None
    assert tried > 40


def test_more_memory_in_use_never_makes_a_model_fit(with_cards):
    base = with_cards("RTX 3090")
    for card in cards():
        fitted = True
        for used_share in (0.0, 0.25, 0.5, 0.75, 0.95):
            facts = msgspec.structs.replace(
                base, gpu=msgspec.structs.replace(base.gpu, gpus=(gpu_of(card, used_share),))
            )
            fits = outcome(Spec(model="qwen3-embedding-4b"), facts)[0] is not None
            assert fitted or not fits
            fitted = fits


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    total=st.integers(GIB // 2, 200 * GIB),
    used=st.floats(0, 1),
    capability=st.sampled_from([(5, 2), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (12, 0)]),
    model=st.sampled_from([None, "auto", *models()]),
    length=st.sampled_from([None, 128, 512, 2048, 8192]),
    batch=st.sampled_from([None, 512, 4096, 65536]),
    vram=st.one_of(st.none(), st.integers(0, 100 * GIB)),
)
def test_random_cards(with_cards, total, used, capability, model, length, batch, vram):
    base = with_cards("RTX 3090")
    taken = int(total * used)
    gpu = Gpu(
        index=0,
        uuid="GPU-0",
        name="NVIDIA Unknown",
        total_bytes=total,
        used_bytes=taken,
        free_bytes=total - taken,
        compute_capability=capability,
    )
    facts = msgspec.structs.replace(base, gpu=msgspec.structs.replace(base.gpu, gpus=(gpu,)))
    try:
        plan, rejected = outcome(Spec(model=model, max_length=length, batched_tokens=batch, vram_bytes=vram), facts)
    except AssertionError as other:
        assert "usage" in str(other)
        return
    check(plan, rejected, gpu)
    if plan is not None:
        assert length is None or plan.max_length == length
        assert vram is None or plan.memory.need_bytes <= vram


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ram=st.integers(GIB // 4, 256 * GIB),
    node=st.floats(0.1, 1),
    limit=st.one_of(st.none(), st.integers(GIB // 4, 64 * GIB)),
    cores=st.integers(1, 128),
    model=st.sampled_from([None, "auto", *models()]),
)
def test_random_machines_without_a_card(bare, with_cards, ram, node, limit, cores, model):
    host = msgspec.structs.replace(
        bare.host,
        memory_total_bytes=ram,
        memory_available_bytes=ram,
        node_total_bytes=int(ram * node),
        node_available_bytes=int(ram * node),
        cgroup_limit_bytes=limit,
        cgroup_used_bytes=0 if limit else None,
        cores=cores,
        physical_cores=cores,
    )
    facts = msgspec.structs.replace(with_cards("no GPU"), host=host)
    plan, rejected = outcome(Spec(model=model), facts)
    for one in rejected:
        assert one.code != NEEDS_MEMORY or one.need_bytes > one.free_bytes
    if plan is not None:
        assert plan.memory.need_bytes <= plan.memory.free_bytes <= min(ram, limit or ram)
        assert 1 <= plan.threads <= cores
        if plan.gpu_memory_share is not None:
            total = min(int(ram * node), limit or ram)
            assert math.ceil(total * plan.gpu_memory_share) <= total
