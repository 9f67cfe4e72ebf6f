"""The physical limit: FLOPs per document over the card's peak, and the memory traffic beside it. Pure.

facts/models-and-gpus.md section 6 has the working; tests/plan/test_roofline.py reproduces its table.
"""

from __future__ import annotations

import math
import re
from typing import Literal

import msgspec

from orchestrator.catalog.gpus import Card, bare_name
from orchestrator.catalog.models import Model
from orchestrator.facts.records import Gpu
from orchestrator.plan.records import Throughput, ThroughputVerdict
from orchestrator.plan.shape import is_causal, matrix_params, shape_of

Rate = Literal["fp32_accumulate", "fp16_accumulate", "int8"]

REALISTIC = 0.6
"""Measured: 56 to 68 % of an RTX 5090's peak with Qwen3-Embedding-4B in vLLM 0.20 and TEI 1.9."""
GGUF_REALISTIC_LARGE = 0.24
"""Measured: 24.5 of 101.9 INT8 TOPS on an RTX 3060, llama-bench Q4_K_M, models of 3 to 4 billion weights."""
GGUF_REALISTIC_SMALL = 0.116
"""Measured: 11.8 of 101.9 INT8 TOPS on the same card with Qwen3-0.6B."""
LARGE_PARAMS = 1_500_000_000

FMA_PER_CLOCK_PER_SM: dict[tuple[int, int], int] = {
    (7, 0): 512, (7, 5): 512, (8, 0): 1024, (8, 6): 512, (8, 7): 1024, (8, 9): 512, (9, 0): 2048, (12, 0): 512,
}  # fmt: skip
"""Dense FP16 tensor rate by compute capability; derived: reproduces the published peaks of gpus.yaml."""
CORES_PER_SM: dict[tuple[int, int], int] = {
    (6, 0): 64, (6, 1): 128, (7, 0): 64, (7, 5): 64, (8, 0): 64, (8, 6): 128, (8, 7): 128, (8, 9): 128, (9, 0): 128,
    (10, 0): 128, (12, 0): 128,
}  # fmt: skip
"""Vendor: CUDA programming guide, arithmetic throughput table."""


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    tflops: float
    bandwidth_gbs: float | None
    realistic: float
    """Share of the peak that published runs reach."""
    basis: str


def flops_per_doc(card: Model, tokens: int) -> float | None:
    """2 x weights x tokens, and attention; the head over the vocabulary is not needed for a vector."""
    weights = matrix_params(card)
    if weights is None:
        return None
    return 2.0 * weights * tokens + _attention_factor(card) * tokens * tokens


def _attention_factor(card: Model) -> float:
    shape = shape_of(card)
    if shape.layers is None:
        return 0.0
    return 2.0 * shape.layers * shape.query_dim if is_causal(card) else 4.0 * shape.layers * shape.hidden


def tokens_for_rate(card: Model, flops: float, docs_per_s: float) -> float | None:
    """The document length at which this many FLOP/s give exactly this rate: the root of the quadratic above."""
    weights = matrix_params(card)
    if weights is None:
        return None
    budget, a, b = flops / docs_per_s, _attention_factor(card), 2.0 * weights
    return budget / b if a == 0 else (-b + math.sqrt(b * b + 4 * a * budget)) / (2 * a)


def peak_of_card(card: Card, quantised: bool, large: bool, share: float = 1.0, name: str = "") -> Peak:
    """GGUF kernels multiply in INT8 where the card has such units; vLLM in 16 bit with FP32 accumulation."""
    title = name or card.title
    bandwidth = card.bandwidth_gbs * share or None
    if quantised and card.int8_tops_dense > 0:
        realistic = GGUF_REALISTIC_LARGE if large else GGUF_REALISTIC_SMALL
        tflops = card.int8_tops_dense * share
        return Peak(
            tflops=tflops, bandwidth_gbs=bandwidth, realistic=realistic, basis=f"{title}: {tflops:.1f} INT8 TOPS, dense"
        )
    tflops = card.fp16_tflops_fp32acc_dense * share
    return Peak(
        tflops=tflops,
        bandwidth_gbs=bandwidth,
        realistic=REALISTIC,
        basis=f"{title}: {tflops:.1f} TFLOPS, 16 bit with FP32 accumulation, dense",
    )


def peak_of_gpu(gpu: Gpu, known: Card | None, quantised: bool, large: bool) -> Peak | None:
    """From the catalogue; else from the card's own units and clock; else None: unknown, never a guess."""
    if known is not None:
        return peak_of_card(known, quantised, large)
    capability = gpu.compute_capability
    sms = gpu.sm_count
    if sms is None and gpu.cuda_cores and capability in CORES_PER_SM:
        sms = gpu.cuda_cores // CORES_PER_SM[capability]
    if capability not in FMA_PER_CLOCK_PER_SM or not sms or not gpu.max_sm_clock_mhz:
        return None
    full = sms * FMA_PER_CLOCK_PER_SM[capability] * 2 * gpu.max_sm_clock_mhz / 1e6
    half_rate = "GeForce" in gpu.name
    tensor_int8 = capability >= (7, 2)
    tflops = full * 2 if quantised and tensor_int8 else full * (0.5 if half_rate else 1.0)
    realistic = (GGUF_REALISTIC_LARGE if large else GGUF_REALISTIC_SMALL) if quantised and tensor_int8 else REALISTIC
    return Peak(
        tflops=tflops,
        bandwidth_gbs=None,
        realistic=realistic,
        basis=f"{gpu.name}: {tflops:.1f} T(FL)OPS from its {sms} SMs at {gpu.max_sm_clock_mhz} MHz (upper bound)",
    )


def mig_parent_share(name: str) -> tuple[str, float] | None:
    """`NVIDIA A100-SXM4-80GB MIG 3g.40gb` → the whole card's name and the slice's share of its units (sevenths)."""
    match = re.fullmatch(r"(.+) MIG (\d)g\.\d+gb(?:\+\w+)?", name)
    return (bare_name(match[1]), int(match[2]) / 7) if match else None


def judge(
    *,
    card: Model,
    peak: Peak | None,
    weights_bytes: int,
    batched_tokens: int,
    target_docs_per_s: float,
    tokens_per_doc: int,
    why_unknown: str,
    family: tuple[Model, ...] = (),
    cards: tuple[Card, ...] = (),
    quantised: bool = False,
) -> Throughput:
    """What the target asks for against what the card can do at all, and what would reach it."""
    flops = flops_per_doc(card, tokens_per_doc)
    if peak is None or flops is None:
        reason = why_unknown if peak is None else f"{card.id}: the number of weights is not known"
        return Throughput(
            target_docs_per_s=target_docs_per_s,
            tokens_per_doc=tokens_per_doc,
            ceiling_docs_per_s=None,
            expected_docs_per_s=None,
            verdict="unknown",
            reason=reason,
        )
    compute = peak.tflops * 1e12 / flops
    ceiling = min(compute, _bandwidth_ceiling(peak, weights_bytes, batched_tokens, tokens_per_doc))
    expected = min(compute * peak.realistic, ceiling)
    verdict: ThroughputVerdict = (
        "reachable" if target_docs_per_s <= expected else "unlikely" if target_docs_per_s <= ceiling else "impossible"
    )
    reason = (
        f"{flops / 1e9:.1f} GFLOP per document of {tokens_per_doc} tokens; {peak.basis}: at most {ceiling:,.1f} "
        f"documents/s at the full peak, {expected:,.1f} at the {peak.realistic:.0%} that published runs reach"
    )
    wish = Wish(card=card, peak=peak, target=target_docs_per_s, tokens=tokens_per_doc, quantised=quantised)
    advice = () if verdict == "reachable" else _advice(wish, family, cards)
    return Throughput(
        target_docs_per_s=target_docs_per_s,
        tokens_per_doc=tokens_per_doc,
        ceiling_docs_per_s=round(ceiling, 2),
        expected_docs_per_s=round(expected, 2),
        verdict=verdict,
        reason=reason,
        advice=advice,
    )


def _bandwidth_ceiling(peak: Peak, weights_bytes: int, batched_tokens: int, tokens_per_doc: int) -> float:
    """Every batch reads all weights once."""
    if not peak.bandwidth_gbs or not weights_bytes:
        return math.inf
    return peak.bandwidth_gbs * 1e9 / weights_bytes * (batched_tokens / tokens_per_doc)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A rate that was asked for and is not reached."""

    card: Model
    peak: Peak
    target: float
    tokens: int
    quantised: bool


def _advice(wish: Wish, family: tuple[Model, ...], cards: tuple[Card, ...]) -> tuple[str, ...]:
    card, peak, target, tokens = wish.card, wish.peak, wish.target, wish.tokens
    advice: list[str] = []
    at_peak = tokens_for_rate(card, peak.tflops * 1e12, target)
    at_real = tokens_for_rate(card, peak.tflops * 1e12 * peak.realistic, target)
    if at_peak and at_real:
        advice.append(
            f"shorter documents: {target:,.0f}/s is possible up to {at_peak:.1f} tokens per document at the full peak, "
            f"{at_real:.1f} realistically"
        )
    for other in family:
        flops = flops_per_doc(other, tokens)
        if flops is not None and other.id != card.id and (other.params or 0) < (card.params or 0):
            rate = peak.tflops * 1e12 * _realistic(peak, other, wish.quantised) / flops
            word = "reaches it" if rate >= target else "does not reach it either"
            advice.append(f"a smaller model: {other.id} {word} (about {rate:,.0f} documents/s realistically)")
    advice.append(_cards_that_reach(wish, cards))
    return tuple(line for line in advice if line)


def _realistic(peak: Peak, model: Model, quantised: bool) -> float:
    """llama.cpp reaches less of the INT8 peak with small models."""
    if not quantised or peak.realistic == REALISTIC:
        return peak.realistic
    return GGUF_REALISTIC_LARGE if (matrix_params(model) or 0) >= LARGE_PARAMS else GGUF_REALISTIC_SMALL


def _cards_that_reach(wish: Wish, cards: tuple[Card, ...]) -> str:
    flops = flops_per_doc(wish.card, wish.tokens) or math.inf
    large = (matrix_params(wish.card) or 0) >= LARGE_PARAMS
    enough = []
    for other in cards:
        peak = peak_of_card(other, wish.quantised, large)
        if other.confidence != "low" and peak.tflops * 1e12 * peak.realistic / flops >= wish.target:
            enough.append((peak.tflops, other.title))
    if not cards:
        return ""
    if not enough:
        return "no single card of the catalogue reaches it realistically: several replicas on several cards would"
    return "a faster card: realistically from " + ", ".join(title for _, title in sorted(enough)[:4])
