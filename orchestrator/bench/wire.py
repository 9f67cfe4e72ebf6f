"""The bytes of a request, most of them prepared before the run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from orchestrator.bench.records import Endpoint
from orchestrator.errors import usage_error

PATHS = {"openai": "/v1/embeddings", "ollama": "/api/embed"}
PORTS = {"http": 80, "https": 443}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tls: bool
    path: str


def address_of(endpoint: Endpoint) -> Address:
    parts = urlsplit(endpoint.url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise usage_error("--url", endpoint.url, "is no http or https address", "for example http://127.0.0.1:8001")
    return Address(
        host=parts.hostname,
        port=parts.port or PORTS[parts.scheme],
        tls=parts.scheme == "https",
        path=parts.path.rstrip("/") + PATHS[endpoint.api],
    )


class Wire:
    """Makes the whole request around some documents."""

    def __init__(self, endpoint: Endpoint) -> None:
        address = address_of(endpoint)
        host = f"[{address.host}]" if ":" in address.host else address.host
        lines = [
            f"POST {address.path} HTTP/1.1",
            f"Host: {host}:{address.port}",
            "User-Agent: orchestrator-bench",
            "Content-Type: application/json",
            "Accept: application/json",
            "Accept-Encoding: identity",
            *([f"Authorization: Bearer {endpoint.key}"] if endpoint.key else []),
            "Content-Length: ",
        ]
        self._head = "\r\n".join(lines).encode()
        self._before = msgspec.json.encode({"model": endpoint.model, **_OPTIONS[endpoint.api]})[:-1] + b',"input":["'

    def request(self, documents: Sequence[bytes]) -> bytes:
        """`documents` as `documents.batch` gives them: JSON strings without their quotes."""
        between = b'","'.join(documents)
        length = len(self._before) + len(between) + 3
        return b'%b%d\r\n\r\n%b%b"]}' % (self._head, length, self._before, between)


_OPTIONS: dict[str, dict[str, object]] = {
    "openai": {"encoding_format": "base64"},
    "ollama": {"truncate": False},  # else a too long document is cut without a word (ollama#14259)
}
