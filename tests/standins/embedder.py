"""A stand-in for an embedding server: real HTTP, vectors from word hashes, and misbehaviour chosen by the model's name.

It tests only our side and Open WebUI's; what real servers do is tested against the real servers.

Vectors are sums of one pseudo-random direction per word, so texts that share words are near each other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
import threading
import time
from array import array
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LIMIT_TOKENS = 256
SPECIAL_TOKENS = 2
READS = {"cuts": 64, "ollama-like": LIMIT_TOKENS}
"""Models that read so many tokens of a longer text, and say nothing."""

DIMENSION = {"good-768": 768}
"""Model names with another dimension than 384. The rest of the names is behaviour:

good, other (another space of the same dimension), swapped (batches answered in reverse order), long (norm 3), nan,
cuts (reads 64 tokens of whatever it gets, 200), short (one vector too few), no-data, error-500, hangs-N (N seconds),
frozen (the same vector for every text), ollama-like (no /tokenize; /v1 reads 256 tokens of whatever it gets, /api/embed
with `truncate: false` refuses).
"""


class Embedder:
    """`with Embedder() as server:` listens on a free port of 127.0.0.1."""

    def __init__(self, *, key: str = "", models: tuple[str, ...] = ("good",), port: int = 0) -> None:
        self.key = key
        self.models = models
        self.requests: list[dict[str, Any]] = []
        """One entry per call of /v1/embeddings: model, inputs, body keys, path."""
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Embedder:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def inputs(self) -> list[str]:
        return [text for request in self.requests for text in request["inputs"]]


def token_count(text: str) -> int:
    return len(_words(text)) + SPECIAL_TOKENS


def vector_of(text: str, model: str = "good") -> list[float]:
    dimension = DIMENSION.get(model, 384)
    words = _words(text)[: READS.get(model, LIMIT_TOKENS) - SPECIAL_TOKENS]
    total = [0.0] * dimension
    # Short words say little; a text of nothing else keeps them.
    for word in [word for word in words if len(word) > 3] or words or ["(empty)"]:
        for i, value in enumerate(_direction("frozen" if model == "frozen" else word, model == "other", dimension)):
            total[i] += value
    norm = math.sqrt(sum(v * v for v in total))
    scale = 3.0 if model == "long" else 1.0
    return [math.nan] * dimension if model == "nan" else [scale * v / norm for v in total]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@cache
def _direction(word: str, other: bool, dimension: int) -> tuple[float, ...]:
    source = random.Random(hashlib.sha256(f"{word}{other}".encode()).digest())
    return tuple(source.gauss(0, 1) for _ in range(dimension))


def _handler(owner: Embedder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            if self.path == "/health":
                return self._send(200, {"status": "ok"})
            if not self._allowed():
                return self._send(401, {"error": "Unauthorized"})
            if self.path == "/v1/models":
                return self._send(200, {"object": "list", "data": [{"id": name} for name in owner.models]})
            return self._send(404, {"detail": "Not Found"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            if self.path == "/api/embed":
                return self._embed_as_ollama(body)
            if self.path == "/tokenize" and body["model"] != "ollama-like":
                return self._send(200, {"count": token_count(body["prompt"]), "max_model_len": LIMIT_TOKENS})
            if not self._allowed():
                return self._send(401, {"error": "Unauthorized"})
            if self.path != "/v1/embeddings":
                return self._send(404, {"detail": "Not Found"})
            texts, model = body["input"], body["model"]
            texts = [texts] if isinstance(texts, str) else texts
            owner.requests.append({"model": model, "inputs": texts, "keys": sorted(body), "path": self.path})
            return self._embed(texts, model, body)

        def _embed(self, texts: list[str], model: str, body: dict[str, Any]) -> None:
            if model.startswith("hangs-"):
                time.sleep(float(model.removeprefix("hangs-")))
            if model == "error-500":
                return self._send(500, {"error": {"message": "CUDA out of memory", "code": 500}})
            if model == "no-data":
                return self._send(200, {"object": "list"})
            if model not in owner.models:
                return self._send(404, {"error": {"message": f"The model `{model}` does not exist.", "code": 404}})
            if model not in READS and any(token_count(text) > LIMIT_TOKENS for text in texts):
                message = f"This model's maximum context length is {LIMIT_TOKENS} tokens."
                return self._send(400, {"error": {"message": message, "type": "BadRequestError", "code": 400}})
            order = list(reversed(texts)) if model == "swapped" else texts
            vectors = [vector_of(text, model) for text in order]
            if body.get("dimensions"):
                vectors = [_cut(vector, body["dimensions"]) for vector in vectors]
            if model == "short":
                vectors = vectors[:-1]
            counts = [token_count(text) for text in texts]
            tokens = sum(min(count, READS.get(model, count)) for count in counts)
            base = body.get("encoding_format") == "base64"
            data = [
                {"object": "embedding", "index": i, "embedding": _base64(vector) if base else vector}
                for i, vector in enumerate(vectors)
            ]
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            return self._send(200, {"object": "list", "model": model, "data": data, "usage": usage})

        def _embed_as_ollama(self, body: dict[str, Any]) -> None:
            count = token_count(body["input"][0])
            if count > LIMIT_TOKENS and body.get("truncate") is False:
                return self._send(400, {"error": "the input length exceeds the context length"})
            return self._send(200, {"embeddings": [vector_of(body["input"][0])], "prompt_eval_count": count})

        def _allowed(self) -> bool:
            return not owner.key or self.headers.get("authorization") == f"Bearer {owner.key}"

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            with suppress(BrokenPipeError, ConnectionResetError):  # a client that no longer waits
                self.wfile.write(content)

    return Handler


def _cut(vector: list[float], dimensions: int) -> list[float]:
    part = vector[:dimensions]
    norm = math.sqrt(sum(v * v for v in part))
    return [v / norm for v in part]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(array("f", vector).tobytes()).decode()
