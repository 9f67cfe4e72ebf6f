"""Semantic search over a handful of notes, in forty lines: whatever serves OpenAI's embeddings API will do."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import httpx

Vector = list[float]


class Notes:
    """Notes with their vectors, in memory."""

    def __init__(self, base_url: str, key: str, model: str) -> None:
        self._client = httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=60)
        self._model = model
        self._notes: list[tuple[str, Vector]] = []

    @classmethod
    def from_environment(cls) -> Notes:
        """What `orchestrator run` exports."""
        return cls(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"], os.environ["EMBEDDINGS_MODEL"])

    def add(self, texts: Sequence[str]) -> None:
        self._notes += zip(texts, self._vectors(texts), strict=True)

    def search(self, question: str, count: int = 1) -> list[str]:
        [asked] = self._vectors([question])
        ranked = sorted(self._notes, key=lambda note: cosine(asked, note[1]), reverse=True)
        return [text for text, _ in ranked[:count]]

    def _vectors(self, texts: Sequence[str]) -> list[Vector]:
        answer = self._client.post("/embeddings", json={"model": self._model, "input": list(texts)}).raise_for_status()
        ordered = sorted(answer.json()["data"], key=lambda row: row["index"])
        return [row["embedding"] for row in ordered]


def cosine(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))
