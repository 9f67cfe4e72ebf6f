"""Sizes as people read them, in the unit that the tools beside us use (nvidia-smi, free, df: powers of 1024)."""

from __future__ import annotations

GIB = 2**30
MIB = 2**20


def gib(count: float) -> str:
    return f"{count / MIB:.0f} MiB" if count < GIB else f"{count / GIB:.2f} GiB"
