"""What an embedding server tells about itself: vLLM's and llama-server's `/metrics`, Ollama's `/api/ps`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.bench.telemetry import SERVER_EVERY_S, Reading
from orchestrator.clients.http import Http
from orchestrator.plan.records import Backend

TIMEOUT_S = 2.0
SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{[^}]*\})?\s+(?P<value>\S+)", re.MULTILINE)
NAMES: Mapping[str, Mapping[str, str]] = {
    "vllm": {
        "vllm:prompt_tokens_total": "server.tokens",
        "vllm:num_requests_running": "server.running",
        "vllm:num_requests_waiting": "server.waiting",
        "vllm:request_success_total": "server.requests",
        "vllm:prefix_cache_hits_total": "server.prefix_cache_hits",
    },
    "llamacpp": {
        "llamacpp:prompt_tokens_total": "server.tokens",
        "llamacpp:requests_processing": "server.running",
        "llamacpp:requests_deferred": "server.waiting",
        "llamacpp:n_decode_total": "server.passes",
    },
}
"""The server's name → ours, so that reports and checks need not know who served."""
UNITS = {
    "server.tokens": "tokens",
    "server.running": "requests",
    "server.waiting": "requests",
    "server.requests": "requests",
    "server.prefix_cache_hits": "tokens",
    "server.passes": "passes",
    "server.vram": "bytes",
}


def read_exposition(text: str, names: Mapping[str, str]) -> Reading:
    """Prometheus' text format; the samples of one name are added up (vLLM has one per engine and reason)."""
    reading: Reading = {}
    for match in SAMPLE.finditer(text):
        ours = names.get(match["name"])
        if ours is None:
            continue
        try:
            reading[ours] = reading.get(ours, 0.0) + float(match["value"])
        except ValueError:
            continue
    return reading


def read_loaded(body: Any, model: str) -> Reading:
    """Ollama's `/api/ps`: what the model holds of the card."""
    models = body.get("models") if isinstance(body, dict) else None
    held = [
        entry["size_vram"]
        for entry in models or []
        if isinstance(entry, dict) and entry.get("name", "").split(":")[0] == model.split(":", maxsplit=1)[0]
        if isinstance(entry.get("size_vram"), int)
    ]
    return {"server.vram": float(sum(held))} if held else {}


class MetricsSource:
    """`/metrics` of vLLM or llama-server."""

    units = UNITS

    def __init__(self, backend: Backend, base_url: str, key: str = "", every_s: float = SERVER_EVERY_S) -> None:
        self.name = f"{backend}'s own metrics"
        self.every_s = every_s
        self._names = NAMES[backend]
        self._http = Http(backend, base_url, timeout_s=TIMEOUT_S, token=key)

    def read(self) -> Reading:
        answer = self._http.call("GET", "/metrics")
        if not answer.ok:
            raise self._http.refused("GET", "/metrics", answer)
        return read_exposition(answer.text, self._names)


class LoadedSource:
    """`/api/ps` of Ollama."""

    every_s = SERVER_EVERY_S
    units = UNITS
    name = "Ollama's list of loaded models"

    def __init__(self, base_url: str, model: str) -> None:
        self._model = model
        self._http = Http("ollama", base_url, timeout_s=TIMEOUT_S)

    def read(self) -> Reading:
        return read_loaded(self._http.ask("GET", "/api/ps"), self._model)


def server_source(backend: Backend, base_url: str, model: str, key: str = "") -> MetricsSource | LoadedSource:
    """The source that fits the server."""
    return LoadedSource(base_url, model) if backend == "ollama" else MetricsSource(backend, base_url, key)
