"""The table of facts/models-and-gpus.md section 6, reproduced."""

import pytest

from orchestrator.catalog.gpus import cards
from orchestrator.catalog.models import models
from orchestrator.facts.records import Gpu
from orchestrator.plan.choose import ALL_FAMILY
from orchestrator.plan.roofline import (
    flops_per_doc,
    judge,
    mig_parent_share,
    peak_of_card,
    peak_of_gpu,
    tokens_for_rate,
)

FULL = 28 * 512 * 2 * 1777 / 1e6
"""RTX 3060: SMs x FMA per clock and SM x 2 x MHz = 50.95 TFLOPS with FP16 accumulation."""
# The last two are measured tokens/s (llama-bench, Q4_K_M) times 2 x weights: 11.78 and 24.5.
RATES = {
    "fp32": FULL / 2,
    "fp32 60%": 0.6 * FULL / 2,
    "fp16": FULL,
    "int8": 2 * FULL,
    "q4 0.6b": 13376 * 2 * 440467456 / 1e12,
    "q4": 24.5,
}
LENGTHS = (8, 16, 32, 64, 128, 256, 512)
TABLE = [
    ("qwen3-embedding-0.6b", "fp32", (3611.0, 1803.6, 899.9, 448.1, 222.2, 109.3, 53.0), 35.98),
    ("qwen3-embedding-0.6b", "fp32 60%", (2166.6, 1082.2, 540.0, 268.9, 133.3, 65.6, 31.8), 21.63),
    ("qwen3-embedding-0.6b", "fp16", (7222.0, 3607.3, 1799.9, 896.2, 444.4, 218.6, 105.9), 71.63),
    ("qwen3-embedding-0.6b", "int8", (14444.1, 7214.5, 3599.8, 1792.5, 888.9, 437.3, 211.8), 141.97),
    ("qwen3-embedding-4b", "fp32", (438.1, 219.0, 109.4, 54.6, 27.2, 13.6, 6.7), 4.38),
    ("qwen3-embedding-4b", "fp32 60%", (262.8, 131.4, 65.6, 32.8, 16.3, 8.1, 4.0), 2.63),
    ("qwen3-embedding-4b", "fp16", (876.1, 437.9, 218.8, 109.3, 54.5, 27.1, 13.4), 8.76),
    ("qwen3-embedding-4b", "int8", (1752.2, 875.8, 437.6, 218.5, 109.0, 54.2, 26.8), 17.52),
    ("qwen3-embedding-8b", "fp32", (229.2, 114.6, 57.3, 28.6, 14.3, 7.1, 3.5), 2.29),
    ("qwen3-embedding-8b", "fp32 60%", (137.5, 68.7, 34.4, 17.2, 8.6, 4.3, 2.1), 1.38),
    ("qwen3-embedding-8b", "fp16", (458.4, 229.1, 114.5, 57.2, 28.6, 14.2, 7.1), 4.58),
    ("qwen3-embedding-8b", "int8", (916.7, 458.3, 229.1, 114.5, 57.2, 28.5, 14.2), 9.17),
    ("all-minilm-l6-v2", "fp32", (149030.7, 74259.1, 36876.0, 18189.5, 8856.1, 4207.2, 1912.8), 1033.33),
    ("all-minilm-l6-v2", "fp32 60%", (89418.4, 44555.5, 22125.6, 10913.7, 5313.6, 2524.3, 1147.7), 690.76),
    ("all-minilm-l6-v2", "fp16", (298061.5, 148518.3, 73751.9, 36379.0, 17712.1, 8414.4, 3825.6), 1716.19),
    ("all-minilm-l6-v2", "int8", (596123.0, 297036.6, 147503.9, 72758.0, 35424.2, 16828.7, 7651.2), 2737.78),
    ("qwen3-embedding-0.6b", "q4 0.6b", (1670.3, 834.3, 416.3, 207.3, 102.8, 50.6, 24.5), 16.68),
    ("qwen3-embedding-4b", "q4", (421.3, 210.6, 105.2, 52.5, 26.2, 13.0, 6.5), 4.21),
    ("qwen3-embedding-8b", "q4", (220.4, 110.2, 55.1, 27.5, 13.7, 6.9, 3.4), 2.20),
]


@pytest.mark.parametrize(("model", "rate", "docs", "limit"), TABLE)
def test_table_of_the_facts(model, rate, docs, limit):
    card, flops = models()[model], RATES[rate] * 1e12
    for tokens, expected in zip(LENGTHS, docs, strict=True):
        assert flops / flops_per_doc(card, tokens) == pytest.approx(expected, rel=1e-3, abs=0.051)
    assert tokens_for_rate(card, flops, 800) == pytest.approx(limit, abs=0.006)


def rtx_3060():
    return next(card for card in cards() if card.key == "rtx3060_12gb")


def judged(model="qwen3-embedding-4b", tokens=32, target=800.0, quantised=False):
    card = models()[model]
    return judge(
        card=card,
        peak=peak_of_card(rtx_3060(), quantised, large=True),
        weights_bytes=8_000_000_000,
        batched_tokens=4096,
        target_docs_per_s=target,
        tokens_per_doc=tokens,
        why_unknown="unknown card",
        family=tuple(models()[name] for name in ALL_FAMILY),
        cards=cards(),
        quantised=quantised,
    )


def test_800_documents_on_an_rtx_3060_are_impossible_and_it_says_what_would_do_it():
    found = judged()
    assert found.verdict == "impossible"
    assert found.ceiling_docs_per_s == pytest.approx(109.4, rel=2e-3)
    assert found.expected_docs_per_s == pytest.approx(65.6, rel=2e-3)
    shorter, smaller, faster = found.advice
    assert "up to 4.4 tokens" in shorter
    assert "2.6 realistically" in shorter
    assert "qwen3-embedding-0.6b does not reach it either" in smaller
    assert "A100" in faster


def test_verdicts_follow_the_same_arithmetic():
    assert judged(target=60).verdict == "reachable"
    assert judged(target=100).verdict == "unlikely"
    assert judged(target=110).verdict == "impossible"


def test_gguf_is_bound_by_int8_and_expected_from_what_was_measured():
    found = judged(quantised=True)
    assert found.ceiling_docs_per_s == pytest.approx(437.6, rel=2e-3)
    assert found.expected_docs_per_s == pytest.approx(105.2, rel=5e-3)


def test_small_batches_are_bound_by_the_weights_read():
    """One document of 8 tokens a pass: 360 GB/s over 8 GB are 45 passes a second."""
    found = judge(
        card=models()["qwen3-embedding-4b"],
        peak=peak_of_card(rtx_3060(), False, True),
        weights_bytes=8_000_000_000,
        batched_tokens=8,
        target_docs_per_s=1,
        tokens_per_doc=8,
        why_unknown="",
    )
    assert found.ceiling_docs_per_s == pytest.approx(45.0)


def test_unknown_card_is_unknown_never_a_guess():
    gpu = Gpu(index=0, uuid="GPU-1", name="NVIDIA Something", total_bytes=1, used_bytes=0, free_bytes=1)
    assert peak_of_gpu(gpu, None, False, True) is None


def test_unknown_card_is_limited_by_its_own_units_and_clock():
    gpu = Gpu(
        index=0,
        uuid="GPU-1",
        name="NVIDIA GeForce RTX 3060 Laptop GPU",
        total_bytes=1,
        used_bytes=0,
        free_bytes=1,
        compute_capability=(8, 6),
        cuda_cores=3840,
        max_sm_clock_mhz=2100,
    )
    peak = peak_of_gpu(gpu, None, False, True)
    assert peak.tflops == pytest.approx(30 * 512 * 2 * 2100 / 1e6 / 2)
    assert "30 SMs" in peak.basis


def test_mig_slice_gets_its_part_of_the_card():
    assert mig_parent_share("NVIDIA A100-SXM4-80GB MIG 3g.40gb") == ("A100-SXM4-80GB", 3 / 7)
    assert mig_parent_share("NVIDIA A100-SXM4-80GB") is None
