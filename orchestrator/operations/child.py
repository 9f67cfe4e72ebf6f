"""One foreign command with our terminal: signals reach it once, and its end is its exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

FORWARDED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
FROM_A_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT})
WATCHED = FORWARDED | {signal.SIGCHLD}
LOOK_EVERY_S = 0.2
SIGNALLED = 128
"""A shell's exit code for a command that a signal ended: 128 and the signal's number (POSIX, Exit Status)."""


def run_child(command: Sequence[str], environment: Mapping[str, str], *, stdout: int = 1) -> int:
    """Runs it in our process group, so that the terminal is its own; returns its exit code.

    A signal from the terminal has reached the child already (the kernel sends it to the whole group); one that a
    process sent to us alone is passed on. Python's own handlers sleep meanwhile: nothing is raised in here.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    handlers: dict[signal.Signals, Any] = {}
    try:
        pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(environment),
            setsigmask=before,
            file_actions=[(os.POSIX_SPAWN_DUP2, stdout, 1)],
        )
        for each in FORWARDED:
            handlers[each] = signal.signal(each, _passes_on(pid))
        return _wait(pid)
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(pid: int) -> int:
    """Asks now and then too: where this process has other threads, the kernel may hand a signal to one of them."""
    while True:
        seen = signal.sigtimedwait(WATCHED, LOOK_EVERY_S)
        if seen is not None and seen.si_signo != signal.SIGCHLD:
            if seen.si_code <= 0:  # sent by a process (POSIX: si_code of SI_USER and the like), not by the terminal
                os.kill(pid, seen.si_signo)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return SIGNALLED - code if code < 0 else code


def _passes_on(pid: int) -> Callable[[int, object], None]:
    """For a signal that another thread was given: who sent it cannot be seen then, only where it is likely from."""

    def handler(number: int, _frame: object) -> None:
        if not (number in FROM_A_TERMINAL and _in_the_foreground()):
            os.kill(pid, number)

    return handler


def _in_the_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
