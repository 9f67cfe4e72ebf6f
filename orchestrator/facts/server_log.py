"""What an embedding server's own log tells of its memory after loading. Pure: lines in, numbers out.

Texts: vLLM 0.32.0 (v1/worker/gpu_worker.py, gpu_model_runner.py, core/kv_cache_utils.py, weight_utils.py) and llama.cpp
488080afa (src/llama-model.cpp, llama-kv-cache.cpp, llama-context.cpp).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

UNITS = {"MiB": 2**20, "GiB": 2**30}
BEGINNINGS = re.compile(r"Initializing a V1 LLM engine|llama_model_loader: loaded meta data|load_model: loading model")
"""The first line of a start: what an earlier start told, in the same file, no longer holds."""
ONCE = {
    "weights": re.compile(r"Model loading took ([\d.]+) (GiB) memory"),
    "weights file": re.compile(r"Checkpoint size: ([\d.]+) (GiB)"),
    "weights and context": re.compile(r"Actual usage is ([\d.]+) (GiB) for consumed memory"),
    "activations": re.compile(r"([\d.]+) (GiB) for peak activation"),
    "cuda graphs": re.compile(r"Graph capturing finished in [\d.]+ secs, took ([\d.]+) (GiB)"),
    "kv cache": re.compile(r"(?:Available KV cache memory: |Explicitly set \()([\d.]+)(?:/[\d.]+\))? (GiB)"),
}
"""vLLM writes each of them once a start; the last one counts."""
FOR_EVERY_DEVICE = {
    "weights": re.compile(r"model buffer size = +([\d.]+) (MiB)"),
    "kv cache": re.compile(r"KV buffer size = +([\d.]+) (MiB)"),
    "buffers": re.compile(r"(?:compute|output) buffer size = +([\d.]+) (MiB)"),
}
"""llama.cpp writes one line a device and kind: their sum counts."""
KV_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    bytes: int
    text: str
    """The words that were read."""


def memory_told(lines: Iterable[str]) -> tuple[Told, ...]:
    """Of the last start in these lines; empty where the server says nothing (an encoder on vLLM's CPU build)."""
    last = _last_start(list(lines))
    found: dict[str, Told] = {}
    for line in last:
        for name, pattern in ONCE.items():
            if match := pattern.search(line):
                found[name] = _told(name, match)
        for name, pattern in FOR_EVERY_DEVICE.items():
            if match := pattern.search(line):
                found[name] = _sum(found.get(name), _told(name, match))
    return tuple(found.values())


def kv_tokens_told(lines: Iterable[str]) -> int | None:
    """How many tokens vLLM's cache holds, by its own log."""
    found = [match[1] for line in _last_start(list(lines)) if (match := KV_TOKENS.search(line))]
    return int(found[-1].replace(",", "")) if found else None


def _last_start(lines: list[str]) -> list[str]:
    begins = [number for number, line in enumerate(lines) if BEGINNINGS.search(line)]
    return lines[begins[-1] :] if begins else lines


def _told(name: str, match: re.Match[str]) -> Told:
    number, unit = (part for part in match.groups() if part is not None)
    return Told(name=name, bytes=int(float(number) * UNITS[unit]), text=match[0])


def _sum(before: Told | None, told: Told) -> Told:
    if before is None:
        return told
    return Told(name=told.name, bytes=before.bytes + told.bytes, text=f"{before.text}; {told.text}")
