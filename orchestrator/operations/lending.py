"""A verified stack for the time of a block: brought up, lent, and taken down again if the block brought it up."""

from __future__ import annotations

import random
import secrets
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.operations.down import down
from orchestrator.operations.planning import Decided
from orchestrator.operations.record import read_intent
from orchestrator.operations.request import Asked, recalled, request
from orchestrator.operations.stack import Stack, engine_of, existing_stack
from orchestrator.operations.up import UpRequest, up
from orchestrator.plan.records import Role
from orchestrator.plan.spec import Spec
from orchestrator.progress import Progress
from orchestrator.result import Result
from orchestrator.services.address import LOOPBACK
from orchestrator.state import StackFolder

TEMPORARY_PORTS = range(21000, 30000)
"""Below Linux's ephemeral range (vendor: ip_local_port_range, 32768 to 60999): between the choice and the server's
start lie minutes, in which no outgoing connection may take the port."""


@dataclass(frozen=True, kw_only=True)
class Lent:
    stack: Stack
    result: Result
    """What `up` had to say."""
    kept: bool
    """It was up before: it stays up."""


@dataclass(frozen=True, kw_only=True)
class Loan:
    request: UpRequest
    temporary: bool
    """Nobody named the stack: it gets a name and ports of its own, and its data goes with it."""


def loan_of(asked: Asked, *, lock_timeout_s: float = 600.0) -> Loan:
    """A stack that something names, as `up` would bring it up; else one of its own."""
    if "stack" not in request(asked).settings:
        return temporary_loan(asked, lock_timeout_s=lock_timeout_s)
    found = recalled(asked)
    wanted = UpRequest(spec=found.spec, asked=found.asked, lock_timeout_s=lock_timeout_s)
    return Loan(request=wanted, temporary=False)


def temporary_loan(asked: Asked, *, lock_timeout_s: float = 600.0) -> Loan:
    """Beside whatever runs here: a name that nobody has, and free ports where none were asked for."""
    fresh = request(asked)
    said = [p.removeprefix("ports.") for p, s in fresh.settings.items() if p in PORT_KEYS and s.origin.kind in BY_HAND]
    spec = msgspec.structs.replace(
        fresh.spec,
        stack=f"run-{secrets.token_hex(4)}",
        ports={**_free_ports(fresh.spec), **{role: port for role, port in fresh.spec.ports.items() if role in said}},
    )
    return Loan(request=UpRequest(spec=spec, lock_timeout_s=lock_timeout_s), temporary=True)


PORT_KEYS = ("ports.webui", "ports.embeddings", "ports.vectors")
BY_HAND = ("flag", "environment", "file")


@contextmanager
def lent(loan: Loan, progress: Progress, show: Callable[[Decided], None]) -> Iterator[Lent]:
    """Also when interrupted, in the block or on the way up, nothing that was started here is left running."""
    folder = StackFolder(loan.request.spec.stack)
    kept = _runs(folder)
    try:
        result = up(loan.request, progress, show)
        kept = kept or not result.data["changed"]
        yield Lent(stack=existing_stack(folder.name), result=result, kept=kept)
    except OrchestratorError as error:
        kept = kept or error.code == "locked"  # somebody else is at work on it
        raise
    finally:
        if not kept:
            with _uninterrupted():
                _give_back(loan, folder, progress)


def _give_back(loan: Loan, folder: StackFolder, progress: Progress) -> None:
    down(folder.name, progress, volumes=loan.temporary, lock_timeout_s=loan.request.lock_timeout_s)
    if loan.temporary:
        shutil.rmtree(folder.path, ignore_errors=True)


def _runs(folder: StackFolder) -> bool:
    intent = read_intent(folder)
    if intent is None:
        return False
    engine = engine_of(intent.decision.plan.engine, folder)
    return any(seen.state not in ("absent", "exited") for seen in engine.observe())


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Stopping has deadlines of its own; a second Ctrl-C would leave half of it running."""
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _free_ports(spec: Spec) -> dict[Role, int]:
    free: dict[Role, int] = {}
    for port in random.sample(TEMPORARY_PORTS, k=len(TEMPORARY_PORTS)):
        missing = [role for role in spec.services if role not in free]
        if not missing:
            break
        if _is_free(port):
            free[missing[0]] = port
    return free


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
