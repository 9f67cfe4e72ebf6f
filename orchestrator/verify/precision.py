"""How far vectors may stand from the truth, by how the weights are stored. Pure.

Cosine to reference vectors: MiniLM measured fp32 1.000000, f16 1.0000, q8_0 0.9992-0.9997, q4_k_m 0.982-0.994
(facts: embedding-servers 2.2). Similarities of the Qwen3 cards: others report deviations of 0.002 for vLLM (bf16) and
Q8_0. Everything between and beyond is an estimate, marked so.
"""

from __future__ import annotations

import msgspec


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    cosine_floor: float
    """To a reference vector of the same text."""
    similarity_deviation: float
    """Of a published similarity."""
    source: str
    repeat_floor: float = 0.998
    """Cosine of one text embedded twice, in different batches. Measured: float32 above 0.999999, f16 of llama.cpp
    0.999999, q8_0 0.9997; the floor is an estimate that also covers bfloat16."""
    repeat_score_deviation: float = 0.002
    """Of Open WebUI's score, (1 + cosine) / 2, when both of its texts are embedded again (estimate, as above)."""


FLOAT32 = Tolerance(
    cosine_floor=0.999,
    similarity_deviation=0.01,
    source="measured for MiniLM; 5 x the 0.002 reported for Qwen3",
    repeat_floor=0.9999,
    repeat_score_deviation=0.0005,
)
SIXTEEN_BIT = Tolerance(
    cosine_floor=0.999, similarity_deviation=0.01, source="measured for MiniLM; 5 x the 0.002 reported for Qwen3"
)
EIGHT_BIT = SIXTEEN_BIT
SIX_BIT = Tolerance(cosine_floor=0.995, similarity_deviation=0.02, source="estimate")
FIVE_BIT = Tolerance(cosine_floor=0.99, similarity_deviation=0.03, source="estimate")
FOUR_BIT = Tolerance(
    cosine_floor=0.98, similarity_deviation=0.05, source="cosine measured for MiniLM; similarities an estimate"
)
LESS = Tolerance(cosine_floor=0.95, similarity_deviation=0.08, source="estimate")


def tolerance_of(dtype: str) -> Tolerance:
    """`dtype` as the plan names it: bfloat16, float32, F16, Q8_0, Q4_K_M, IQ4_XS, auto, ..."""
    name = dtype.upper()
    if name in {"FLOAT32", "FLOAT", "F32", "FP32"}:
        return FLOAT32
    if "FLOAT" in name or name in {"F16", "BF16", "FP16", "AUTO", "HALF"}:
        return SIXTEEN_BIT
    bits = next((character for character in name.removeprefix("I").removeprefix("Q") if character.isdigit()), "")
    return {"8": EIGHT_BIT, "6": SIX_BIT, "5": FIVE_BIT, "4": FOUR_BIT}.get(bits, LESS)
