"""A client process: `python -m orchestrator.bench.worker`. Its job comes on stdin, so no key is ever in an argv."""

from __future__ import annotations

import gc
import select
import sys
import time
import traceback

from orchestrator.bench.load import Loop
from orchestrator.bench.messages import Begin, Broke, Done, Ready, Tick, Work, read, write

TICK_EVERY_S = 0.5
COLLECT_EVERY = 50_000
"""Objects between two looks for garbage in rings, of which the loop makes none: at Python's 700 the looks are 2 % of
its work (measured). What was loaded before stays, and is not looked at."""


def main() -> None:
    told, tells = sys.stdin.buffer, sys.stdout.buffer
    work = read(told)
    if not isinstance(work, Work):
        return
    write(tells, Ready())
    begin = read(told)
    if not isinstance(begin, Begin):
        return
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    last = time.monotonic()

    def tick(documents: int) -> None:
        nonlocal last
        if time.monotonic() - last >= TICK_EVERY_S:
            last = time.monotonic()
            write(tells, Tick(documents=documents))

    try:
        measured = Loop(work.job, begin.at, _told_to_stop, time.monotonic).run(tick)
    except Exception:
        write(tells, Broke(text=traceback.format_exc()))
        return
    write(tells, Done(measured=measured))


def _told_to_stop() -> bool:
    """The tool closes our stdin to end a run early, and its death does too."""
    return bool(select.select([sys.stdin.fileno()], (), (), 0)[0])


if __name__ == "__main__":
    main()
