"""Room on the disk, asked for before anything is downloaded."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.facts.host import disk_space
from orchestrator.state import DOWNLOAD_MARGIN


def need_space(folder: Path, missing_bytes: int) -> None:
    space = disk_space(folder)
    need = int(missing_bytes * DOWNLOAD_MARGIN)
    if space is None or missing_bytes <= 0:
        return
    free = space.free_bytes
    if need > free:
        raise OrchestratorError(
            "disk_full",
            f"{need / 1e9:.2f} GB are needed at {folder} and {free / 1e9:.2f} GB are free",
            remedy="free some space, or set ORCHESTRATOR_HOME to a folder on a larger disk",
            evidence=f"missing {missing_bytes} bytes x {DOWNLOAD_MARGIN}, free {free} bytes",
        )
