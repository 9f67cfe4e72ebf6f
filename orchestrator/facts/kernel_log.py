"""What the kernel logged about the cards: NVIDIA's Xid reports."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from orchestrator.facts.records import Unreadable

KMSG = Path("/dev/kmsg")
RECORD_BYTES = 8192
"""More than the kernel's longest record (1 KiB and its fields)."""
XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d+),?\s*(.*)")


class Xid(msgspec.Struct, frozen=True, kw_only=True):
    bus: str
    """The card's PCI address as the kernel writes it: `0000:01:00`."""
    code: int
    text: str


def xids(log: Path = KMSG) -> tuple[Xid, ...] | Unreadable:
    """All that is still in the kernel's ring. Only root may read it on most distributions (kernel.dmesg_restrict)."""
    try:
        return tuple(_parsed(_records(log)))
    except OSError as error:
        return Unreadable(code="no_kernel_log", reason=f"{log}: {error.strerror}")


def _parsed(text: str) -> list[Xid]:
    return [Xid(bus=match[1], code=int(match[2]), text=match[0].strip()) for match in XID.finditer(text)]


def _records(log: Path) -> str:
    """One read is one record; without O_NONBLOCK the last one would wait for the next message."""
    descriptor = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    found = []
    try:
        while True:
            try:
                record = os.read(descriptor, RECORD_BYTES)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # the kernel wrote over the next record meanwhile
            if not record:
                break  # an ordinary file
            found.append(record)
    finally:
        os.close(descriptor)
    return b"".join(found).decode("utf-8", "replace")
