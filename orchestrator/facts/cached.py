"""Weights that are already on this machine, whole."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator.facts.records import CachedModel

MARKER = ".complete.json"
"""Written last by models/: a folder without it is a fetch that was interrupted."""


def read_cached(folder: Path) -> tuple[CachedModel, ...]:
    if not folder.is_dir():
        return ()
    return tuple(_cached(marker) for marker in sorted(folder.glob(f"*/{MARKER}")))


def _cached(marker: Path) -> CachedModel:
    try:
        said = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = {}
    size = said.get("bytes") if isinstance(said, dict) else None
    return CachedModel(
        key=marker.parent.name,
        path=str(marker.parent),
        bytes=size if isinstance(size, int) else _size(marker.parent),
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
