"""One foreign command with our terminal: signals reach it once, and its end is its exit code."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

FORWARDED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
FROM_THE_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
LOOK_AGAIN_S = 1.0
"""Nothing is known to need it; a command that has ended must not be waited for in any case."""
SIGNALLED = 128
"""A shell's exit code for a command that a signal ended: 128 and the signal's number (POSIX, Exit Status)."""


def run_child(command: Sequence[str], environment: Mapping[str, str], *, stdout: int = 1) -> int:
    """Runs it and returns its exit code.

    In a terminal's foreground it shares our process group, so that the terminal is its own; Ctrl-C has then reached it
    already, for the kernel signals the whole group. Elsewhere it gets a group of its own, and every signal that we get
    is passed on to all of it.
    """
    at_terminal = _in_foreground()
    early: list[int] = []
    pid: int | None = None

    def forward(number: int, _frame: object) -> None:
        if pid is None:
            early.append(number)
        elif not (at_terminal and number in FROM_THE_KEYBOARD):
            with suppress(ProcessLookupError):
                (os.kill if at_terminal else os.killpg)(pid, number)

    with _handling(forward), _woken_by_signals() as woken:
        pid = _spawn(command, environment, stdout=stdout, own_group=not at_terminal)
        for number in early:
            forward(number, None)
        status = _wait(pid, woken)
    code = os.waitstatus_to_exitcode(status)
    return SIGNALLED - code if code < 0 else code


def _spawn(command: Sequence[str], environment: Mapping[str, str], *, stdout: int, own_group: bool) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, stdout, 1)]
    if own_group:
        return os.posix_spawnp(command[0], list(command), dict(environment), file_actions=actions, setpgroup=0)
    return os.posix_spawnp(command[0], list(command), dict(environment), file_actions=actions)


def _wait(pid: int, woken: socket.socket) -> int:
    """The status that it ended with. Never blocks in waitpid: a signal that came just before would wait with it."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if select.select([woken], [], [], LOOK_AGAIN_S)[0]:
            woken.recv(4096)


@contextmanager
def _woken_by_signals() -> Iterator[socket.socket]:
    """Readable after each signal that has a handler, SIGCHLD among them, whichever thread the kernel gave it to."""
    ours, kernels = socket.socketpair()
    ours.setblocking(False)
    kernels.setblocking(False)
    before_child = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    before_fd = signal.set_wakeup_fd(kernels.fileno(), warn_on_full_buffer=False)
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(before_fd)
        signal.signal(signal.SIGCHLD, before_child)
        ours.close()
        kernels.close()


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # stdin is no terminal, or not the one of this session
        return False


@contextmanager
def _handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    """What our parent told us to ignore (`nohup`) stays ignored, by the command too."""
    before = {each: signal.getsignal(each) for each in FORWARDED}
    for each, earlier in before.items():
        if earlier is not signal.SIG_IGN:
            signal.signal(each, handler)
    try:
        yield
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)
