"""The cards that the planner knows (`gpus.yaml`), matched by their whole NVML name and their memory."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from orchestrator.catalog.files import read_yaml

GIB = 2**30
MIB = 2**20

MEMORY_BELOW = 0.90
"""NVML's total as a share of the nominal size, lowest: 0.9375 on a T4 (15 of 16 GiB), 0.937 on an L4. Measured."""
MEMORY_ABOVE = 1.02


class CudaVisible(msgspec.Struct, frozen=True, kw_only=True):
    """CUDA sees less than NVML's total; measured for this pair of numbers."""

    nvml_mib: int
    cuda_mib: int
    source: str


class Card(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    nvml_names: tuple[str, ...]
    arch: str
    compute_capability: float
    memory_gib: float
    bandwidth_gbs: float
    sm: int
    boost_mhz: int
    fp16_tflops_fp32acc_dense: float
    fp16_tflops_fp16acc_dense: float
    int8_tops_dense: float
    """0.0 where the card has no INT8 tensor cores."""
    bf16: bool
    fp8: bool
    confidence: str
    spec_source: str
    tflops_source: str
    cuda_visible: CudaVisible | None = None
    note: str | None = None

    @property
    def title(self) -> str:
        """The name, with its memory where the name does not tell it already (`A100-SXM4-80GB`)."""
        name = self.nvml_names[0]
        return name if re.search(r"\d+ ?GB\b", name) else f"{name} {self.memory_gib:g} GB"


@cache
def cards() -> tuple[Card, ...]:
    """Every card of the catalogue, in the file's order."""
    return tuple(_card(entry) for entry in read_yaml("gpus.yaml")["gpus"])


def _card(entry: dict[str, Any]) -> Card:
    return msgspec.convert({key: entry[key] for key in Card.__struct_fields__ if entry.get(key) is not None}, Card)


def match(name: str, total_bytes: int | None, known: tuple[Card, ...]) -> Card | None:
    """The card with exactly this name and about this memory; None for a card that the catalogue does not have."""
    bare = bare_name(name)
    named = [card for card in known if bare in card.nvml_names]
    if total_bytes is None:
        return named[0] if len(named) == 1 else None
    fitting = [card for card in named if MEMORY_BELOW <= total_bytes / (card.memory_gib * GIB) <= MEMORY_ABOVE]
    return min(fitting, key=lambda card: abs(card.memory_gib * GIB - total_bytes), default=None)


def bare_name(name: str) -> str:
    """Drivers before 2021 left the vendor's name out of all but some professional cards."""
    return name.strip().removeprefix("NVIDIA ")
