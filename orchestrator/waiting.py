"""Readiness is a probe, a deadline and the last refusal's reason. Nothing else in the project sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


class DeadlineError(Exception):
    """The probe never said yes; `reason` is its last refusal."""

    def __init__(self, reason: str, waited_s: float) -> None:
        super().__init__(f"not ready after {waited_s:.0f} s: {reason}")
        self.reason = reason
        self.waited_s = waited_s


def wait_until(
    probe: Callable[[], str | None],
    deadline_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Call `probe` until it returns None (ready); a string is the reason why not yet.

    Returns the seconds waited. Raises DeadlineError with the last reason. A probe that raises ends the wait:
    that is how a probe says that waiting longer is pointless (the process died).
    """
    start = clock()
    step_s = FIRST_PAUSE_S
    while True:
        reason = probe()
        waited_s = clock() - start
        if reason is None:
            return waited_s
        if waited_s >= deadline_s:
            raise DeadlineError(reason, waited_s)
        pause(min(step_s, max(deadline_s - waited_s, 0.0)))
        step_s = min(step_s * 1.5, LONGEST_PAUSE_S)
