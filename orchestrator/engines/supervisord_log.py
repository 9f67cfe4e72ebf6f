"""What supervisord's own log tells and its interface does not: pids that were, exit codes, restarts. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable

import msgspec

SPAWNED = re.compile(r"spawned: '(?P<name>[^']+)' with pid (?P<pid>\d+)")
EXITED = re.compile(r"exited: (?P<name>\S+) \((?:exit status (?P<code>\d+)|terminated by (?P<signal>\w+))")
STOPPED = re.compile(r"stopped: (?P<name>\S+) \(")
BEGUN = re.compile(r"supervisord started with pid \d+")


class Past(msgspec.Struct, kw_only=True):
    """One program since it was last started on purpose."""

    starts: int = 0
    exit_code: int | None = None
    """Of its last unexpected end; minus the signal's number where one ended it."""

    @property
    def restarts(self) -> int:
        return max(self.starts - 1, 0)


def pasts_of(lines: Iterable[str]) -> dict[str, Past]:
    pasts: dict[str, Past] = {}
    for line in lines:
        if found := SPAWNED.search(line):
            pasts.setdefault(found["name"], Past()).starts += 1
        elif found := EXITED.search(line):
            pasts.setdefault(found["name"], Past()).exit_code = _exit_code(found["code"], found["signal"])
        elif found := STOPPED.search(line):
            pasts.pop(found["name"], None)
        elif BEGUN.search(line):
            pasts.clear()
    return pasts


def service_pids_of(lines: Iterable[str]) -> frozenset[int]:
    """Every process that supervisord ever started itself: each one led a process group of its own."""
    return frozenset(int(found["pid"]) for line in lines if (found := SPAWNED.search(line)))


def _exit_code(code: str | None, signal_name: str | None) -> int | None:
    if code is not None:
        return int(code)
    named = signal.Signals.__members__.get(signal_name or "")
    return -named.value if named else None
