"""One command at a time on a stack; who waits is told for whom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.progress import Progress
from orchestrator.state import StackFolder, locked


@contextmanager
def alone(folder: StackFolder, command: str, lock_timeout_s: float, progress: Progress) -> Iterator[None]:
    def waiting(holder: str) -> None:
        progress.step(f"{holder} is at work on this stack; waiting for it to end")

    with locked(folder, command, wait_s=lock_timeout_s, waiting=waiting):
        yield
