"""The OpenAI-compatible `/v1/embeddings` of vLLM, llama-server and Ollama."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from orchestrator.clients.http import Answer, Http

Vector = array  # array('f'): float32, as the servers send it


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors in the order of the texts, and what the server says it read."""

    vectors: tuple[Any, ...]
    """`array('f')` each."""
    tokens: int | None
    """`usage.prompt_tokens` of the whole request, special tokens included; None where the server does not tell."""
    model: str


class EmbeddingsClient:
    def __init__(self, base_url: str, api_key: str, model: str, timeout_s: float = 300.0) -> None:
        """`base_url` without `/v1`."""
        self.model = model
        self._http = Http("embeddings", base_url, timeout_s=timeout_s, token=api_key)
        self.base_url = self._http.base_url

    def embed(self, texts: Sequence[str], dimensions: int | None = None, timeout_s: float | None = None) -> Embedded:
        answer = self.ask_embed(texts, dimensions, timeout_s)
        if not answer.ok:
            raise self._http.refused("POST", "/v1/embeddings", answer)
        return self.read(answer, len(texts))

    def ask_embed(self, texts: Sequence[str], dimensions: int | None = None, timeout_s: float | None = None) -> Answer:
        """The raw answer, for those who want to see a refusal (`verify`'s limit probe)."""
        body: dict[str, Any] = {"model": self.model, "input": list(texts), "encoding_format": "base64"}
        if dimensions is not None:
            body["dimensions"] = dimensions
        return self._http.call("POST", "/v1/embeddings", body=body, timeout_s=timeout_s)

    def ask_ollama_uncut(self, text: str) -> Answer:
        """Ollama's own path, the only one of its paths that can be told not to cut (ollama/ollama#14259)."""
        body = {"model": self.model, "input": [text], "truncate": False}
        return self._http.call("POST", "/api/embed", body=body)

    def read(self, answer: Answer, count: int) -> Embedded:
        """Vectors by `index`, not by position; a missing or doubled one is a bad answer (vLLM sends a body without
        `usage` or `data` when it is stopped under load: facts 1.10)."""
        body = answer.body
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise self._http.bad_answer("/v1/embeddings", "no `data`", answer.text)
        vectors: list[Any] = [None] * count
        for position, item in enumerate(body["data"]):
            index = item.get("index", position)
            if not isinstance(index, int) or not 0 <= index < count or vectors[index] is not None:
                raise self._http.bad_answer("/v1/embeddings", f"index {index!r} for {count} texts")
            vectors[index] = self._vector(item.get("embedding"))
        missing = [i for i, vector in enumerate(vectors) if vector is None]
        if missing:
            reason = f"{count - len(missing)} vectors for {count} texts"
            raise self._http.bad_answer("/v1/embeddings", reason, answer.text)
        usage = body.get("usage") or {}
        tokens = usage.get("prompt_tokens", usage.get("total_tokens"))
        return Embedded(vectors=tuple(vectors), tokens=tokens, model=str(body.get("model", "")))

    def models(self) -> tuple[str, ...]:
        body = self._http.ask("GET", "/v1/models")
        if not isinstance(body, dict) or not isinstance(body.get("data"), list):
            raise self._http.bad_answer("/v1/models", "no `data`", body)
        return tuple(str(entry.get("id", "")) for entry in body["data"])

    def healthy(self) -> bool:
        """Liveness only: vLLM and llama-server. Ollama has no /health; its client asks /api/version."""
        return self._http.call("GET", "/health", timeout_s=5.0).ok

    def count_tokens(self, text: str) -> int | None:
        """Tokens with the special ones, from the server's own tokenizer; None where it has none (Ollama).

        The same path with two shapes: vLLM reads `prompt` and answers `count`, llama-server reads `content`. It
        answers 200 with no tokens to `prompt` (facts 2.4), so both fields are sent and the answer tells who spoke.
        """
        body = {"model": self.model, "prompt": text, "content": text, "add_special": True}
        answer = self._http.call("POST", "/tokenize", body=body)
        if not answer.ok or not isinstance(answer.body, dict):
            return None
        if isinstance(answer.body.get("count"), int):
            return int(answer.body["count"])
        tokens = answer.body.get("tokens")
        return len(tokens) if isinstance(tokens, list) else None

    def close(self) -> None:
        self._http.close()

    def _vector(self, value: object) -> array[float]:
        if isinstance(value, str):
            vector = array("f", base64.b64decode(value))
            if sys.byteorder == "big":  # the wire is little-endian float32
                vector.byteswap()
            return vector
        if isinstance(value, list) and all(isinstance(number, int | float) for number in value):
            return array("f", value)
        raise self._http.bad_answer("/v1/embeddings", f"an embedding of type {type(value).__name__}", value)
