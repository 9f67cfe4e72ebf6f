"""Processes that belong to a stack, also when nothing supervises them any more (after `kill -9` of supervisord).

Every service carries `ORCHESTRATOR_STACK=<stack folder>` in its environment, which survives its parent. Two traps:
a program that sets its process title overwrites its own environment as Linux shows it (measured: setproctitle 1.3.8,
which vLLM's engine processes use), so relatives of a marked process and members of a service's process group count
too; and a process of somebody else must never count, so a group alone is not enough: it also has to work in our folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.waiting import DeadlineError, wait_until

if TYPE_CHECKING:
    import psutil

STACK_VARIABLE = "ORCHESTRATOR_STACK"
ROLE_VARIABLE = "ORCHESTRATOR_ROLE"
KILL_WAIT_S = 10.0
"""After SIGKILL only the kernel is left to wait for; longer means a process stuck in a device driver."""


def processes_of(stack: Path, service_pids: Iterable[int] = ()) -> list[psutil.Process]:
    """Everything alive that this stack started, oldest first. `service_pids`: leaders that were ever spawned for it."""
    import psutil

    alive = [process for process in psutil.process_iter() if not _is_gone(process)]
    ours = {process for process in alive if environment_of(process).get(STACK_VARIABLE) == str(stack)}
    groups = _leaderless_groups(alive, frozenset(service_pids))
    ours |= {process for process in alive if _group_of(process) in groups and _works_in(process, stack)}
    for process in tuple(ours):
        ours.update(_descendants_of(process))
    ours -= _ourselves()
    return sorted((process for process in ours if not _is_gone(process)), key=lambda process: process.create_time())


def stop(processes: list[psutil.Process], grace_s: float) -> None:
    """SIGTERM to the outermost, time to end in order and take their children along; SIGKILL for what then remains."""
    inner = {child for process in processes for child in _descendants_of(process)}
    outer = [process for process in processes if process not in inner]
    _signal(outer, "terminate")
    _wait_gone(outer, grace_s)
    kill(processes)


def kill(processes: list[psutil.Process]) -> None:
    _signal(processes, "kill")
    _wait_gone(processes, KILL_WAIT_S)


def environment_of(process: psutil.Process) -> dict[str, str]:
    """As it was when the process started; empty where it may not be read or is no more."""
    import psutil

    try:
        return process.environ()
    except (psutil.Error, OSError, ValueError):
        return {}


def _leaderless_groups(alive: list[psutil.Process], service_pids: frozenset[int]) -> frozenset[int]:
    """Groups of services whose leader is dead. While such a group lives the kernel gives its number to nobody else."""
    return service_pids - {process.pid for process in alive}


def _group_of(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except OSError:
        return None


def _works_in(process: psutil.Process, folder: Path) -> bool:
    import psutil

    try:
        return Path(process.cwd()).is_relative_to(folder.resolve())
    except (psutil.Error, OSError):
        return False


def _descendants_of(process: psutil.Process) -> list[psutil.Process]:
    import psutil

    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _ourselves() -> set[psutil.Process]:
    """This command and what called it: it may have been started from a service's own shell."""
    import psutil

    own = psutil.Process()
    return {own, *own.parents(), *own.children(recursive=True)}


def _is_gone(process: psutil.Process) -> bool:
    import psutil

    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _wait_gone(processes: list[psutil.Process], deadline_s: float) -> None:
    """Not psutil.wait_procs: it waits for zombies, which a container's first process may never collect."""

    def remaining() -> str | None:
        alive = [process for process in processes if not _is_gone(process)]
        return f"{len(alive)} processes live" if alive else None

    with suppress(DeadlineError):
        wait_until(remaining, deadline_s)


def _signal(processes: list[psutil.Process], action: str) -> None:
    import psutil

    for process in processes:
        try:
            getattr(process, action)()
        except psutil.NoSuchProcess:
            continue
