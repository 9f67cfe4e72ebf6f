"""Whether the kernel knows this machine's clock to be set. How far it is off, the answers of servers tell
(`Reach.clock_ahead_s`)."""

from __future__ import annotations

import ctypes

import msgspec

TIME_ERROR = 5
"""What adjtimex answers while nothing sets the clock (linux/timex.h). The kernel says so itself once the clock may be
wrong by more than 16 s (NTP_PHASE_LIMIT in kernel/time/ntp.c)."""
TIMEX_BYTES = 512
"""More than struct timex has anywhere (208 bytes on 64 bit)."""


class Synchronised(msgspec.Struct, frozen=True, kw_only=True):
    """None where the kernel does not tell (not Linux, seccomp)."""

    yes: bool | None
    reason: str


def kernel_clock() -> Synchronised:
    """Inside a container it is the host's clock, and the host's answer."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        state = library.adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError) as error:
        return Synchronised(yes=None, reason=f"the kernel cannot be asked: {error}")
    if state < 0:
        return Synchronised(yes=None, reason="the kernel does not let this process ask")
    if state == TIME_ERROR:
        return Synchronised(yes=False, reason="nothing sets this machine's clock (adjtimex: TIME_ERROR)")
    return Synchronised(yes=True, reason=f"the kernel's clock is kept by a time service (adjtimex: {state})")
