"""Several slow readers at once, none of which can hold the caller up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any


def read_together(readers: Mapping[str, Callable[[], Any]], deadline_s: float) -> dict[str, Any]:
    """Run every reader in its own thread; returns what was there in time. A late or failed reader has no entry.

    Threads are daemons: a reader that hangs in the kernel (a lost GPU, a dead name server) cannot keep the process.
    A reader's exception is returned as its value, so that the caller can name it.
    """
    results: dict[str, Any] = {}

    def run(name: str, reader: Callable[[], Any]) -> None:
        try:
            results[name] = reader()
        except Exception as error:
            results[name] = error

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in readers.items()]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + deadline_s
    for thread in threads:
        thread.join(max(ends - time.monotonic(), 0.0))
    return dict(results)
