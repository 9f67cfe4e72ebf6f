"""The physics of a run: which peak its device has, and what that allows for one length of documents. Pure."""

from __future__ import annotations

import msgspec

from orchestrator.bench.records import Goal, Limits
from orchestrator.catalog.gpus import Card, match
from orchestrator.catalog.models import Model
from orchestrator.facts.records import Gpu
from orchestrator.plan.candidates import QUANTISATIONS
from orchestrator.plan.records import Plan
from orchestrator.plan.roofline import (
    LARGE_PARAMS,
    Peak,
    flops_per_doc,
    judge,
    mig_parent_share,
    peak_of_card,
    peak_of_gpu,
)
from orchestrator.plan.shape import matrix_params

MEASURED_DOUBT = 2.0
"""A matrix product on a busy machine finds half of what it finds on a quiet one (measured: 0.064 and 0.116 TFLOPS on
the same core). Only a target beyond this many times what it reached is called impossible because of it."""


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """What is possible at this length, and where the run stands below it. None: not known."""

    docs_per_s: float | None = None
    realistic_docs_per_s: float | None = None
    bound: str = ""
    """compute or memory bandwidth: which of the two the ceiling is."""
    basis: str = ""
    flops_per_doc: float | None = None
    achieved_tflops: float | None = None
    share_of_peak: float | None = None
    """Of the data sheet's peak."""
    share_of_measured: float | None = None
    """Of what a plain matrix product reaches on this device."""


def limits_of_plan(
    plan: Plan, gpu: Gpu | None, goal: Goal, cards: tuple[Card, ...], family: tuple[Model, ...]
) -> Limits:
    """What the planned model on the planned device can do at all. `gpu` is the plan's card, None for the CPU."""
    peak, why = _peak_of_plan(plan, gpu, cards)
    one, two = flops_per_doc(plan.card, 1), flops_per_doc(plan.card, 2)
    if one is None or two is None:
        return Limits(peak_basis=f"{plan.model}: the number of weights is not known")
    attention = (two - 2 * one) / 2  # flops(s) = a s + b s s, seen at one and two tokens
    return Limits(
        weights_flops_per_token=one - attention,
        attention_flops=attention,
        peak_tflops=peak.tflops if peak else None,
        peak_basis=peak.basis if peak else why,
        realistic=peak.realistic if peak else None,
        weight_passes_per_s=peak.bandwidth_gbs * 1e9 / plan.weights.bytes if peak and peak.bandwidth_gbs else None,
        batched_tokens=plan.batched_tokens,
        advice=_advice(plan, peak, goal, cards, family),
    )


def _peak_of_plan(plan: Plan, gpu: Gpu | None, cards: tuple[Card, ...]) -> tuple[Peak | None, str]:
    if plan.device.kind == "cpu":
        return None, "no peak is known for this processor"
    if gpu is None:
        return None, f"the plan's card ({plan.device.name}) cannot be read on this machine"
    if plan.weights.dtype == "float32":
        return None, f"{gpu.name}: the catalogue has 16-bit and INT8 rates only, this runs in float32"
    quantised = plan.weights.dtype in QUANTISATIONS
    large = (matrix_params(plan.card) or 0) >= LARGE_PARAMS
    part = mig_parent_share(gpu.name)
    whole, share = part or (gpu.name, 1.0)
    known = match(whole, None if part else gpu.total_bytes, cards)
    if known is not None:
        return peak_of_card(known, quantised, large, share, gpu.name), ""
    return peak_of_gpu(gpu, None, quantised, large), (
        f"{gpu.name} is not in the catalogue, and NVML does not tell its units and clock"
    )


def _advice(
    plan: Plan, peak: Peak | None, goal: Goal, cards: tuple[Card, ...], family: tuple[Model, ...]
) -> tuple[str, ...]:
    """The planner's own words on what would reach the target."""
    if peak is None or goal.docs_per_s is None or goal.tokens_per_doc is None:
        return ()
    return judge(
        card=plan.card,
        peak=peak,
        weights_bytes=plan.weights.bytes,
        batched_tokens=plan.batched_tokens,
        target_docs_per_s=goal.docs_per_s,
        tokens_per_doc=round(goal.tokens_per_doc),
        why_unknown="",
        family=family,
        cards=cards,
        quantised=plan.weights.dtype in QUANTISATIONS,
    ).advice


def ceiling_at(limits: Limits, tokens_per_doc: float, docs_per_s: float) -> Ceiling:
    """The ceiling for one length, and the share of the peak that a rate comes to."""
    if limits.weights_flops_per_token is None:
        return Ceiling(basis=limits.peak_basis)
    flops = limits.weights_flops_per_token * tokens_per_doc + limits.attention_flops * tokens_per_doc**2
    achieved = docs_per_s * flops / 1e12
    measured = limits.measured.tflops if limits.measured else None
    reached = Ceiling(
        basis=limits.peak_basis,
        flops_per_doc=flops,
        achieved_tflops=achieved,
        share_of_peak=achieved / limits.peak_tflops if limits.peak_tflops else None,
        share_of_measured=achieved / measured if measured else None,
    )
    peak = limits.peak_tflops or measured
    if peak is None:
        return reached
    basis = limits.peak_basis
    if limits.peak_tflops is None and limits.measured is not None:
        basis = f"{limits.peak_basis}; a matrix product reached {measured:.3g} TFLOPS here ({limits.measured.basis})"
    compute = peak * 1e12 / flops
    memory = _bandwidth_docs_per_s(limits, tokens_per_doc)
    ceiling = compute if memory is None else min(compute, memory)
    return msgspec.structs.replace(
        reached,
        docs_per_s=ceiling,
        realistic_docs_per_s=min(compute * limits.realistic, ceiling) if limits.realistic else None,
        bound="compute" if ceiling == compute else "memory bandwidth",
        basis=basis,
    )


def _bandwidth_docs_per_s(limits: Limits, tokens_per_doc: float) -> float | None:
    if not limits.weight_passes_per_s or not limits.batched_tokens:
        return None
    return limits.weight_passes_per_s * limits.batched_tokens / tokens_per_doc


def exceeds_physics(ceiling: Ceiling) -> bool:
    """The implied FLOPS are more than the data sheet allows: served from a cache, shortened, or mislabelled."""
    return ceiling.share_of_peak is not None and ceiling.share_of_peak > 1.0


def is_beyond(ceiling: Ceiling, docs_per_s: float) -> bool:
    """No such rate can be reached, whatever is tuned."""
    if ceiling.docs_per_s is None:
        return False
    doubt = 1.0 if ceiling.share_of_peak is not None else MEASURED_DOUBT
    return docs_per_s > ceiling.docs_per_s * doubt
