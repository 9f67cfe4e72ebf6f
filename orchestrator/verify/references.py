"""What is known to be right: published similarities and reference vectors, by the model's id."""

from __future__ import annotations

import base64
import json
import sys
from array import array
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec


class CardSimilarities(msgspec.Struct, frozen=True, kw_only=True):
    """A model card's own example: instructed queries against bare documents."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    similarities: tuple[tuple[float, ...], ...]
    source: str


class ReferenceVectors(msgspec.Struct, frozen=True, kw_only=True):
    texts: tuple[str, ...]
    vectors: tuple[Any, ...]
    """`array('f')` each."""
    source: str


_QWEN3_TASK = "Given a web search query, retrieve relevant passages that answer the query"
_QWEN3_QUERIES = ("What is the capital of China?", "Explain gravity")
_QWEN3_DOCUMENTS = (
    "The capital of China is Beijing.",
    "Gravity is a force that attracts two bodies towards each other. It gives weight to physical objects and is "
    "responsible for the movement of planets around the sun.",
)
_QWEN3_SIMILARITIES = {
    "qwen3-embedding-0.6b": ((0.7646, 0.1414), (0.1355, 0.6000)),
    "qwen3-embedding-4b": ((0.7534, 0.1147), (0.0320, 0.6258)),
    "qwen3-embedding-8b": ((0.7493, 0.0751), (0.0880, 0.6318)),
}


def card_similarities(model: str) -> CardSimilarities | None:
    if model not in _QWEN3_SIMILARITIES:
        return None
    return CardSimilarities(
        queries=tuple(f"Instruct: {_QWEN3_TASK}\nQuery:{query}" for query in _QWEN3_QUERIES),
        documents=_QWEN3_DOCUMENTS,
        similarities=_QWEN3_SIMILARITIES[model],
        source="the model card of Qwen/Qwen3-Embedding (vendor)",
    )


@cache
def reference_vectors(model: str) -> ReferenceVectors | None:
    """From `data/<model>.json`, whose header says how they were made."""
    file = files("orchestrator.verify") / "data" / f"{model}.json"
    if "/" in model or not file.is_file():
        return None
    raw = json.loads(file.read_text(encoding="utf-8"))
    tool = raw["made_with"]
    return ReferenceVectors(
        texts=tuple(raw["texts"]),
        vectors=tuple(_float32(vector) for vector in raw["vectors"]),
        source=f"sentence-transformers {tool['sentence-transformers']}, float32",
    )


def _float32(text: str) -> array[float]:
    vector = array("f", base64.b64decode(text))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
