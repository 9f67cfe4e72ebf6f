"""One foreign command with our terminal: signals reach it once, and its end is its exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

FORWARDED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
SIGNALLED = 128
"""A shell's exit code for a command that a signal ended: 128 and the signal's number (POSIX, Exit Status)."""


def run_child(command: Sequence[str], environment: Mapping[str, str], *, stdout: int = 1) -> int:
    """Runs it in our process group, so that the terminal is its own; returns its exit code.

    A signal from the terminal has reached the child already (the kernel sends it to the whole group); one that a
    process sent to us alone is passed on. Python's own handlers sleep meanwhile: nothing is raised in here.
    """
    watched = FORWARDED | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        pid = os.posix_spawnp(
            command[0],
            list(command),
            dict(environment),
            setsigmask=before,
            file_actions=[(os.POSIX_SPAWN_DUP2, stdout, 1)],
        )
        return _wait(pid, watched)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(pid: int, watched: frozenset[signal.Signals]) -> int:
    while True:
        seen = signal.sigwaitinfo(watched)
        if seen.si_signo != signal.SIGCHLD:
            if seen.si_code <= 0:  # sent by a process (POSIX: si_code of SI_USER and the like), not by the terminal
                os.kill(pid, seen.si_signo)
            continue
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended == pid:
            code = os.waitstatus_to_exitcode(status)
            return SIGNALLED - code if code < 0 else code
