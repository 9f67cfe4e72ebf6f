"""A stand-in for an embedding server that does one thing wrong at a time, chosen by name. Real HTTP, no model.

Right otherwise: unit vectors drawn from a hash of the text, a token per word and two special ones per text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIMENSION = 64
STALL_S = 1.2

BEHAVIOURS = {
    "good": "does nothing wrong",
    "as-numbers": "ignores encoding_format and answers with JSON numbers",
    "chunked": "sends its answer in chunks, without a length",
    "no-keep-alive": "closes the connection after each answer",
    "index-last": "puts the index behind the vector, as llama-server does",
    "no-usage": "does not tell its tokens",
    "stalls-once": "answers the twentieth request 1.2 s late, and all others behind it",
    "nan": "a NaN in one vector",
    "nan-as-numbers": "NaN in JSON, which JSON does not have",
    "swapped-index": "two vectors exchanged, with their indexes",
    "swapped": "two vectors exchanged, and the indexes say nothing of it",
    "halves-tokens": "counts half of the tokens",
    "limits": "every third request gets 429 with Retry-After: 5",
    "limits-silently": "every third request gets 429 without Retry-After",
    "refuses": "every request gets 500",
    "drops": "every third connection ends instead of an answer",
    "half-body": "every third answer ends in the middle",
    "never-ends": "every third answer stops in the middle, and the connection stays",
    "silent": "accepts and never answers",
    "other-model": "answers for another model",
    "duplicates": "the same vector for every text",
    "other-dimension": "vectors of 32 numbers",
    "long-vectors": "vectors of length 3",
    "one-missing": "a vector too few",
    "no-json": "a page of HTML with status 200",
    "no-base64": "an embedding that is no base64",
}


def token_count(text: str) -> int:
    return len(text.split()) + 2


def vector_of(text: str) -> np.ndarray[Any, Any]:
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype("<f4")
    return vector / np.linalg.norm(vector)


class Misbehaving:
    """`with Misbehaving("nan") as stub:`. It behaves towards requests of fewer than `from_documents` texts, so that a
    client can get to know it, and can ask again afterwards."""

    def __init__(
        self,
        behaviour: str = "good",
        *,
        key: str = "",
        from_documents: int = 1,
        paths: tuple[str, ...] = ("/v1/embeddings", "/api/embed"),
    ) -> None:
        assert behaviour in BEHAVIOURS
        self.behaviour = behaviour
        self.key = key
        self.from_documents = from_documents
        self.paths = paths
        self.requests = 0
        self.documents = 0
        self.texts: list[str] = []
        self.authorizations: set[str] = set()
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Misbehaving:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        return


def _handler(stub: Misbehaving) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            self._send(200, json.dumps({"data": [{"id": "stub"}]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            stub.authorizations.add(self.headers.get("authorization", ""))
            if self.path == "/tokenize" and "/v1/embeddings" in stub.paths:
                return self._send(200, json.dumps({"count": token_count(body["prompt"])}).encode())
            if stub.key and self.headers.get("authorization") != f"Bearer {stub.key}":
                return self._send(401, b'{"error":"Unauthorized"}')
            if self.path not in stub.paths:
                return self._send(404, b'{"detail":"Not Found"}')
            behaviour = stub.behaviour if len(body["input"]) >= stub.from_documents else "good"
            with stub.lock:
                stub.requests += 1
                number = stub.requests
                stub.documents += len(body["input"])
                stub.texts.extend(body["input"])
                if behaviour == "stalls-once" and number == 20:
                    time.sleep(STALL_S)  # under the lock: everything behind it waits too
            if self.path == "/api/embed":
                return self._send(200, json.dumps(_ollama(body)).encode())
            return self._misbehave(behaviour, number, body)

        def _misbehave(self, behaviour: str, number: int, body: dict[str, Any]) -> None:
            third = number % 3 == 0
            if behaviour == "silent":
                time.sleep(30)
            if behaviour == "refuses":
                return self._send(500, b'{"error":{"message":"CUDA out of memory"}}')
            if behaviour.startswith("limits") and third:
                headers = {"retry-after": "5"} if behaviour == "limits" else {}
                return self._send(429, b'{"error":{"message":"too many requests"}}', headers)
            if behaviour == "drops" and third:
                self.close_connection = True
                return None
            if behaviour == "no-json":
                return self._send(200, b"<html>a proxy's greeting</html>")
            content = json.dumps(_answer(body, behaviour, third)).encode()
            if behaviour in ("half-body", "never-ends") and third:
                self._head(200, {"content-length": str(len(content))})
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                time.sleep(30 if behaviour == "never-ends" else 0)
                self.close_connection = True
                return None
            if behaviour == "chunked":
                self._head(200, {"transfer-encoding": "chunked"})
                for at in range(0, len(content), 100):
                    part = content[at : at + 100]
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.write(b"0\r\n\r\n")
                return None
            if behaviour == "no-keep-alive":
                self.close_connection = True
                return self._send(200, content, {"connection": "close"})
            return self._send(200, content)

        def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
            self._head(status, {"content-length": str(len(content)), **(headers or {})})
            self.wfile.write(content)

        def _head(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    return Handler


def _answer(body: dict[str, Any], behaviour: str, third: bool) -> dict[str, Any]:
    texts = body["input"]
    vectors = [vector_of("always the same" if behaviour == "duplicates" and third else text) for text in texts]
    order = list(range(len(texts)))
    if behaviour in ("nan", "nan-as-numbers") and third:
        vectors[-1] = np.full(DIMENSION, np.nan, "<f4")
    if behaviour.startswith("swapped"):
        vectors[0], vectors[1] = vectors[1], vectors[0]
        if behaviour == "swapped-index":
            order[0], order[1] = 1, 0
    if behaviour == "other-dimension":
        vectors = [vector[:32] for vector in vectors]
    if behaviour == "long-vectors":
        vectors = [3 * vector for vector in vectors]
    if behaviour == "one-missing":
        vectors = vectors[:-1]
    tokens = sum(token_count(text) for text in texts) // (2 if behaviour == "halves-tokens" else 1)
    numbers = behaviour in ("as-numbers", "nan-as-numbers") or body.get("encoding_format") != "base64"
    data = []
    for index, vector in zip(order, vectors):
        embedding: Any = (
            [float(number) for number in vector] if numbers else base64.b64encode(vector.tobytes()).decode()
        )
        if behaviour == "no-base64":
            embedding = "?" + embedding[1:]
        item = {"object": "embedding", "index": index, "embedding": embedding}
        data.append(dict(reversed(item.items())) if behaviour == "index-last" else item)
    model = "another-model" if behaviour == "other-model" else body["model"]
    usage = {} if behaviour == "no-usage" else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    return {"object": "list", "data": data, "model": model, **usage}


def _ollama(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": body["model"],
        "embeddings": [[float(number) for number in vector_of(text)] for text in body["input"]],
        "prompt_eval_count": sum(token_count(text) for text in body["input"]),
    }
