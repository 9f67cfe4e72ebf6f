"""The endpoint asked one thing at a time: before the run how it counts and what it sends, after it a sample again."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.bench.answers import FLOAT32, BadAnswer, Read, Reader
from orchestrator.bench.records import Api, Endpoint
from orchestrator.bench.wire import PATHS, address_of
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.http import Answer, Http
from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    Block = np.ndarray[Any, Any]

AT_ONCE = 4
"""Calls side by side while pieces are measured (estimate: more would not make a small server faster)."""
BATCH = 32
ALIKE = 0.9999
"""Cosine above which two words are the same to the model (the repeat floor of float32, verify/precision.py)."""


class Server:
    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        address_of(endpoint)
        self.endpoint = endpoint
        self._http = Http("the endpoint", endpoint.url, timeout_s=timeout_s, token=endpoint.key)
        self._client = EmbeddingsClient(endpoint.url, endpoint.key, endpoint.model, timeout_s)
        self._tokenizes: bool | None = None

    def close(self) -> None:
        self._http.close()
        self._client.close()

    def ask(self, texts: Sequence[str], timeout_s: float | None = None) -> Answer:
        body: dict[str, Any] = {"model": self.endpoint.model, "input": list(texts)}
        body |= {"encoding_format": "base64"} if self.endpoint.api == "openai" else {"truncate": False}
        return self._http.call("POST", PATHS[self.endpoint.api], body=body, timeout_s=timeout_s)

    def read(self, texts: Sequence[str], timeout_s: float | None = None) -> Read:
        answer = self.ask(texts, timeout_s)
        if answer.status != 200:
            raise self.refused(answer)
        body = bytearray(answer.text.encode())
        try:
            read = Reader(self.endpoint.api).read(body, 0, len(body), len(texts))
        except BadAnswer as bad:
            raise self._http.bad_answer(PATHS[self.endpoint.api], bad.example) from bad
        if len(read.vectors) != len(texts) or len(set(map(len, read.vectors))) != 1:
            reason = f"{len(read.vectors)} vectors for {len(texts)} texts, or of different length"
            raise self._http.bad_answer(PATHS[self.endpoint.api], reason)
        return read

    def embed(self, texts: Sequence[str], timeout_s: float | None = None) -> Block:
        return np.frombuffer(b"".join(self.read(texts, timeout_s).vectors), FLOAT32).reshape(len(texts), -1)

    def refused(self, answer: Answer) -> OrchestratorError:
        return self._http.refused("POST", PATHS[self.endpoint.api], answer)

    @cached_property
    def first(self) -> Read:
        """The answer to one word: how long the vectors are, how they come, whether tokens are told."""
        return self.read(["and"])

    @property
    def dimension(self) -> int:
        return len(self.first.vectors[0]) // 4

    @cached_property
    def tokenizes(self) -> bool:
        """Whether it has a tokenizer to ask, which is much cheaper than an embedding."""
        if self.endpoint.api == "ollama":
            return False
        try:
            return bool(self._client.count_tokens("and"))
        except OrchestratorError:
            return False

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text, special ones included."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self._tokenized if self.tokenizes else self.embedded_tokens, texts))

    def embedded_tokens(self, text: str) -> int:
        """As the answer to an embedding counts them."""
        tokens = self.read([text]).tokens
        if tokens < 1:
            raise OrchestratorError(
                "tokens_untold",
                f"{self.endpoint.url} tells neither by /tokenize nor by `usage` how many tokens it reads",
                remedy="without the length a number of documents per second says nothing; use a server that counts",
            )
        return tokens

    def unlike(self, texts: Sequence[str]) -> Sequence[str]:
        """Those that the model tells apart: no vector is that of an earlier one."""
        parts = [self.embed(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        vectors = np.concatenate(parts)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.where(lengths > 0, lengths, 1)
        like_earlier = np.triu(unit @ unit.T > ALIKE, k=1).sum(axis=0)
        return [text for text, twins in zip(texts, like_earlier.tolist(), strict=True) if not twins]

    def _tokenized(self, text: str) -> int:
        tokens = self._client.count_tokens(text)
        if tokens is None:
            raise self._http.bad_answer("/tokenize", "no count of tokens, though it gave one before")
        return tokens


def endpoint_at(url: str, model: str, key: str, api: Api | None, timeout_s: float) -> Endpoint:
    """An endpoint that answers. Which of the two languages it speaks is asked for where it is not said."""
    base = url.rstrip("/").removesuffix("/v1")
    endpoint = Endpoint(url=base, model=model, api=api or "openai", key=key)
    server = Server(endpoint, timeout_s)
    try:
        answer = server.ask(["and"])
        if answer.status == 404 and api is None and not answer.message.lower().count("model"):
            return endpoint_at(url, model, key, "ollama", timeout_s)
        if answer.status != 200:
            raise server.refused(answer)
        return endpoint
    finally:
        server.close()
