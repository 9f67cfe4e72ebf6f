"""A model's shape where the catalogue has it, and careful stand-ins where it does not. Pure."""

from __future__ import annotations

import msgspec

from orchestrator.catalog.models import Model

BYTES_OF_DTYPE = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per weight and activation, by what the backend computes in."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    hidden: int
    intermediate: int
    heads: int
    layers: int | None
    """None where nobody wrote it down; attention is then left out of the FLOPs, which keeps a ceiling a ceiling."""
    query_dim: int
    estimated: tuple[str, ...] = ()
    """Fields that were not in the catalogue."""


def shape_of(card: Model) -> Shape:
    """Hidden = the vector's size and feed-forward = 4 x hidden where unknown: true of every BERT-like model listed."""
    estimated = tuple(name for name in ("hidden", "intermediate", "heads") if getattr(card, name) is None)
    hidden = card.hidden or card.dim
    heads = card.heads or max(hidden // 64, 1)
    return Shape(
        hidden=hidden,
        intermediate=card.intermediate or 4 * hidden,
        heads=heads,
        layers=card.layers,
        query_dim=heads * (card.head_dim or hidden // heads),
        estimated=estimated,
    )


def is_causal(card: Model) -> bool | None:
    """Decoders with last-token pooling; None where the catalogue does not say (then no plan is made from a guess)."""
    if card.bidirectional:
        return False
    if card.pooling in ("last_token", "last"):
        return True
    return None if card.pooling is None else False


def kv_bytes_per_token(card: Model, bytes_per_value: int = 2) -> int | None:
    """0 for an encoder: it keeps no cache (facts/embedding-servers.md 1.8). None where the shape is not known."""
    causal = is_causal(card)
    if causal is None:
        return None
    if not causal:
        return 0
    if card.kv_bytes_per_token_f16 is not None:
        return card.kv_bytes_per_token_f16 * bytes_per_value // 2
    if card.layers and card.kv_heads and card.head_dim:
        return 2 * card.layers * card.kv_heads * card.head_dim * bytes_per_value
    return None


def matrix_params(card: Model) -> int | None:
    """Weights that every token is multiplied with: all but the embedding table."""
    if card.gemm_params is not None:
        return card.gemm_params
    if card.non_embedding_params is not None:
        return card.non_embedding_params
    if card.params is None:
        return None
    return card.params - (card.embedding_params or 0)
