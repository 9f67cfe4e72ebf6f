"""One client process at work: requests when the pacer wants them, every answer checked, until the time is over.

One thread, one epoll. A round takes what came, sends what is due, and only then checks what it took, so that the
server does not wait for our arithmetic. Answers of few documents wait for each other and are checked together.
"""

from __future__ import annotations

import select
import ssl
import struct
import time
from array import array
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np

from orchestrator.bench.answers import Read
from orchestrator.bench.connection import NOTHING, Answered, Broken, Connection, give_back
from orchestrator.bench.correctness import Asked, Checker
from orchestrator.bench.documents import Composed, Documents, Listed
from orchestrator.bench.pacer import pacer_of
from orchestrator.bench.records import OUTCOMES, Endpoint, Failure, Load, Outcome, Wrong
from orchestrator.bench.wire import Wire, address_of

CONNECT_TIMEOUT_S = 5.0
FIRST_REST_S = 0.05
"""After a refusal without Retry-After, or a broken connection; doubled each time (estimate)."""
LONGEST_REST_S = 2.0
LOOK_EVERY_S = 0.05
"""How often time-outs and the caller's wish to stop are looked at; no wait is longer."""
CHECKED_AT_ONCE = 32
"""Documents whose vectors are checked together: enough to share numpy's cost per call, few enough to be still in the
processor's cache (measured at one per request: checked one by one they cost more than twice the CPU)."""
QUIET_S = 0.002
"""Answers of fewer documents are checked when nothing came for so long (estimate). They are not on the way any more, so
no latency sees the wait. Two processes beside a server, to which few answers come at a time, need it most."""
KEPT_ANSWERS = 2
"""Whole answers kept for embedding their documents again, one by one."""

ROW = struct.Struct("<dddqqqhhbx")
ROW_TYPE = np.dtype(
    {
        "names": [
            "intended_s",
            "sent_s",
            "done_s",
            "tokens_sent",
            "tokens_counted",
            "first",
            "documents",
            "status",
            "outcome",
        ],
        "formats": ["<f8", "<f8", "<f8", "<i8", "<i8", "<i8", "<i2", "<i2", "i1"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 50, 52],
        "itemsize": ROW.size,
    }
)
CODES: dict[Outcome, int] = {outcome: code for code, outcome in enumerate(OUTCOMES)}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker does."""

    endpoint: Endpoint
    load: Load
    documents: Composed | Listed
    dimension: int
    worker: int = 0
    first_document: int = 0
    """Workers and runs begin at different places, so that none sends what another sent."""


class Kept(NamedTuple):
    """An answer to compare with: which documents it was for, and their vectors."""

    first: int
    documents: int
    vectors: bytes


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker saw. Columns as bytes: they travel through a pipe."""

    rows: bytes
    """ROW_TYPE."""
    received: bytes
    """int64 a row."""
    prints: bytes
    """uint64 a vector of every right answer, in the order of `rows`."""
    lag_s: bytes
    """float64 a round: how long a ready socket may have waited for us."""
    own_delay_s: bytes
    """float64 a request of an open loop: sent later than it could have been."""
    cpu_s: float
    measured_s: float
    """Shorter than asked for where the run was stopped."""
    unsent: int
    """Requests of the schedule that were never sent, all connections being busy."""
    as_numbers: bool
    untold_tokens: int
    wrongs: tuple[Wrong, ...]
    failures: tuple[Failure, ...]
    kept: tuple[Kept, ...]


class _Request(Asked, gc=False):
    """Made when it is sent, and whole when its answer waits for the check."""

    first: int
    intended_s: float
    sent_s: float = 0.0
    done_s: float = 0.0


class _Slot:
    """A connection and the request that is on its way there."""

    __slots__ = ("connection", "fd", "free_s", "refusals", "request", "wakes_s")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.fd = -1
        self.refusals = 0
        self.free_s = self.wakes_s = 0.0
        self.request = _Request(NOTHING, 0, 0, 0, 0.0)


class Loop:
    """The state of one worker's run; `run` is the whole story."""

    def __init__(self, job: Job, begins_at: float, stops: Callable[[], bool], clock: Callable[[], float]) -> None:
        """`begins_at` is the end of the warm-up on `clock`: second 0 of every record."""
        self._job, self._load = job, job.load
        self._documents: Documents = job.documents
        self._clock, self._stops, self._zero = clock, stops, begins_at
        self._begin_s = -job.load.warmup_s
        self._end_s = job.load.duration_s
        self._wire = Wire(job.endpoint)
        self._checker = Checker(job.endpoint, job.dimension)
        self._pacer = pacer_of(
            job.load.arrival,
            job.load.rate,
            job.load.warmup_s + job.load.duration_s,
            worker=job.worker,
            workers=job.load.workers,
            seed=job.load.seed,
        )
        self._next = job.first_document
        self._hits = 0
        self._poll = select.epoll()
        self._busy: dict[int, _Slot] = {}
        self._free: deque[_Slot] = deque()
        self._resting: list[_Slot] = []
        self._taken: list[_Request] = []
        self._documents_taken = 0
        self._rows, self._prints, self._received = bytearray(), bytearray(), array("q")
        self._lag, self._own_delay = array("d"), array("d")
        self._failures: dict[Outcome, tuple[int, str]] = {}
        self._kept: list[Kept] = []
        self._round_began_s: float | None = None
        self._is_quiet = False
        self.documents_done = 0

    def run(self, tick: Callable[[int], None]) -> Measured:
        """`tick` is told the documents answered rightly so far, a few times a second."""
        self._open_slots()
        cpu_at_zero = cpu_at_end = None
        looked_s = stopped_s = -np.inf
        over = False
        while True:
            now_s = self._now()
            if cpu_at_zero is None and now_s >= 0:
                cpu_at_zero = time.process_time()
            if not over and (now_s >= self._end_s or self._stops_now(now_s, looked_s)):
                over, stopped_s, cpu_at_end = True, min(now_s, self._end_s), time.process_time()
            if now_s - looked_s >= LOOK_EVERY_S:
                looked_s = now_s
                self._give_up_late(now_s)
                tick(self.documents_done)
            if over:
                if not self._busy or stopped_s < self._end_s:  # who stops a run early waits for nothing
                    break
            else:
                self._wake(now_s)
            wait_s = LOOK_EVERY_S if over else self._send_due()
            if self._documents_taken >= CHECKED_AT_ONCE or self._is_quiet:
                self._check_taken()
            self._note_lag()
            self._round(wait_s)
        self._check_taken()
        self._close()
        cpu = (cpu_at_end or 0.0) - (cpu_at_zero if cpu_at_zero is not None else cpu_at_end or 0.0)
        return self._measured(max(cpu, 0.0), float(stopped_s))

    def _now(self) -> float:
        return self._clock() - self._zero

    def _stops_now(self, now_s: float, looked_s: float) -> bool:
        return now_s - looked_s >= LOOK_EVERY_S and self._stops()

    def _open_slots(self) -> None:
        address = address_of(self._job.endpoint)
        context = ssl.create_default_context() if address.tls else None
        share = -(-(self._load.concurrency - self._job.worker) // self._load.workers)
        for _ in range(max(share, 1)):
            slot = _Slot(Connection(address, context))
            slot.wakes_s = self._begin_s
            self._resting.append(slot)

    def _wake(self, now_s: float) -> None:
        """Slots whose rest is over connect, where they are not connected, and are free again."""
        for slot in [slot for slot in self._resting if slot.wakes_s <= now_s]:
            self._resting.remove(slot)
            if not slot.connection.is_open:
                try:
                    slot.fd = slot.connection.open(min(CONNECT_TIMEOUT_S, self._load.timeout_s))
                except Broken as broken:
                    self._fail_unsent(slot, str(broken))
                    continue
                self._poll.register(slot.fd, select.EPOLLIN)
            slot.free_s = self._now()
            self._free.append(slot)

    def _send_due(self) -> float:
        """Send what is due; returns how long until there may be something to do again."""
        wait_s = LOOK_EVERY_S
        if self._resting:
            wait_s = min(wait_s, max(min(slot.wakes_s for slot in self._resting) - self._now(), 0.0))
        while self._free:
            elapsed_s = self._now() - self._begin_s
            due_s = self._pacer(elapsed_s, self._hits)
            if due_s is None:
                return wait_s
            if due_s > elapsed_s:
                return min(due_s - elapsed_s, wait_s)
            self._send(self._free.popleft(), due_s + self._begin_s)
        return wait_s

    def _send(self, slot: _Slot, intended_s: float) -> None:
        first, count = self._next, self._load.batch
        self._next += count
        documents, tokens = self._documents.batch(first, count)
        content = self._wire.request(documents)
        self._hits += 1
        slot.request = request = _Request(NOTHING, count, tokens, first, intended_s)
        self._busy[slot.fd] = slot
        try:
            whole = slot.connection.send(content)
        except Broken as broken:
            request.sent_s = self._now()
            self._fail(slot, "dropped", str(broken))
            return
        request.sent_s = self._now()
        if self._load.arrival != "closed" and intended_s >= 0:
            self._own_delay.append(request.sent_s - max(intended_s, slot.free_s))
        if not whole:
            self._poll.modify(slot.fd, select.EPOLLIN | select.EPOLLOUT)

    def _round(self, wait_s: float) -> None:
        """Wait for the sockets, and take what they have."""
        if self._taken:
            wait_s = min(wait_s, QUIET_S)
        due_s = self._now() + wait_s
        if wait_s not in (QUIET_S, LOOK_EVERY_S):  # epoll counts whole milliseconds, select microseconds
            select.select([self._poll.fileno()], (), (), wait_s)
            wait_s = 0.0
        ready = self._poll.poll(wait_s, 128)
        began_s = self._now()
        self._is_quiet = not ready
        if not ready:
            self._lag.append(max(began_s - due_s, 0.0))
        for fd, events in ready:
            slot = self._busy.get(fd)
            if slot is None:
                self._hung_up(fd)
                continue
            try:
                if events & select.EPOLLOUT and slot.connection.send_more():
                    slot.request.sent_s = self._now()
                    self._poll.modify(fd, select.EPOLLIN)
                if events & ~select.EPOLLOUT and (answer := slot.connection.receive()) is not None:
                    self._answered(slot, answer)
            except Broken as broken:
                self._fail(slot, "dropped", str(broken))
            if self._documents_taken >= CHECKED_AT_ONCE:
                self._send_due()
                self._check_taken()
        self._round_began_s = began_s

    def _note_lag(self) -> None:
        if self._round_began_s is not None:
            self._lag.append(self._now() - self._round_began_s)
            self._round_began_s = None

    def _answered(self, slot: _Slot, answer: Answered) -> None:
        del self._busy[slot.fd]
        request = slot.request
        request.answer = answer
        request.done_s = now_s = self._now()
        self._taken.append(request)
        self._documents_taken += request.documents
        if answer.status == 200:
            slot.refusals = 0
            slot.free_s = now_s
            if slot.connection.is_open:
                self._free.append(slot)
            else:
                self._rest(slot, now_s)
            return
        slot.refusals += 1
        self._rest(slot, now_s + self._rest_s(slot, answer.retry_after_s))

    def _rest_s(self, slot: _Slot, asked_s: float | None) -> float:
        own_s = min(FIRST_REST_S * 2 ** (slot.refusals - 1), LONGEST_REST_S)
        return own_s if asked_s is None else asked_s

    def _rest(self, slot: _Slot, wakes_s: float) -> None:
        slot.wakes_s = wakes_s
        self._resting.append(slot)

    def _check_taken(self) -> None:
        answered = [taken for taken in self._taken if taken.answer.status == 200]
        reads, prints = self._checker.check(answered)
        self._prints += prints
        for taken, read in zip(answered, reads, strict=True):
            if read is None:
                self._record(taken, -1, "wrong")
                continue
            self._record(taken, read.tokens, "ok")
            self.documents_done += taken.documents
            self._keep(taken, read)
        for taken in self._taken:
            if taken.answer.status != 200:
                outcome: Outcome = "limited" if taken.answer.status in (429, 503) else "refused"
                self._note_failure(outcome, _said(taken.answer))
                self._record(taken, -1, outcome)
            give_back(taken.answer.buffer)
        self._taken.clear()
        self._documents_taken = 0

    def _keep(self, taken: _Request, read: Read) -> None:
        """The first answer of the measured time, and the first of its second half."""
        if taken.intended_s < 0 or (self._kept and taken.done_s < self._end_s / 2):
            return
        if len(self._kept) < KEPT_ANSWERS:
            self._kept.append(Kept(taken.first, taken.documents, b"".join(read.vectors)))

    def _record(self, taken: _Request, counted: int, outcome: Outcome) -> None:
        answer = taken.answer
        self._rows += ROW.pack(
            taken.intended_s,
            taken.sent_s,
            taken.done_s,
            taken.tokens,
            counted,
            taken.first,
            taken.documents,
            answer.status,
            CODES[outcome],
        )
        self._received.append(answer.end - answer.start)

    def _fail(self, slot: _Slot, outcome: Outcome, why: str) -> None:
        """A request that got no whole answer: its connection is of no more use."""
        slot.request.done_s = now_s = self._now()
        self._busy.pop(slot.fd, None)
        self._drop(slot)
        self._note_failure(outcome, why)
        self._record(slot.request, -1, outcome)
        slot.refusals += 1
        self._rest(slot, now_s + (self._rest_s(slot, None) if outcome == "dropped" else 0.0))

    def _fail_unsent(self, slot: _Slot, why: str) -> None:
        """No connection, so no request; counted as one, else a dead server looks like no load."""
        now_s = self._now()
        slot.request = _Request(NOTHING, self._load.batch, 0, self._next, intended_s=now_s, sent_s=now_s)
        self._fail(slot, "dropped", why)

    def _drop(self, slot: _Slot) -> None:
        if slot.connection.is_open:
            self._poll.unregister(slot.fd)
            slot.connection.close()
        slot.fd = -1

    def _hung_up(self, fd: int) -> None:
        """A server may close a connection that is not in use; the next request opens another."""
        slot = next((slot for slot in (*self._free, *self._resting) if slot.fd == fd), None)
        if slot is None:
            return
        self._drop(slot)
        if slot in self._free:
            self._free.remove(slot)
            self._rest(slot, self._now())

    def _give_up_late(self, now_s: float) -> None:
        limit_s = self._load.timeout_s
        for slot in [slot for slot in self._busy.values() if now_s - slot.request.sent_s >= limit_s]:
            how_far = "its answer had begun" if slot.connection.has_answer_begun else "nothing came"
            self._fail(slot, "timed_out", f"no whole answer within {limit_s:g} s ({how_far})")

    def _note_failure(self, outcome: Outcome, why: str) -> None:
        count, first = self._failures.get(outcome, (0, why))
        self._failures[outcome] = (count + 1, first)

    def _close(self) -> None:
        for slot in (*self._busy.values(), *self._free, *self._resting):
            slot.connection.close()
        self._poll.close()

    def _measured(self, cpu_s: float, stopped_s: float) -> Measured:
        unsent = 0
        while self._load.arrival != "closed" and stopped_s >= self._end_s:
            due_s = self._pacer(self._load.warmup_s + self._load.duration_s, self._hits + unsent)
            if due_s is None:
                break
            unsent += 1
        return Measured(
            rows=bytes(self._rows),
            received=self._received.tobytes(),
            prints=bytes(self._prints),
            lag_s=self._lag.tobytes(),
            own_delay_s=self._own_delay.tobytes(),
            cpu_s=cpu_s,
            measured_s=max(stopped_s, 0.0),
            unsent=unsent,
            as_numbers=self._checker.as_numbers,
            untold_tokens=self._checker.untold_tokens,
            wrongs=self._checker.tally.wrongs(),
            failures=tuple(
                Failure(outcome=outcome, count=count, example=why) for outcome, (count, why) in self._failures.items()
            ),
            kept=tuple(self._kept),
        )


def _said(answer: Answered) -> str:
    from orchestrator.clients.http import error_message

    body = bytes(answer.buffer[answer.start : answer.end])
    try:
        said = error_message(msgspec.json.decode(body))
    except msgspec.MsgspecError:
        said = ""
    wait = f", Retry-After {answer.retry_after_s:g} s" if answer.retry_after_s is not None else ""
    return f"HTTP {answer.status}{wait}: {said or body[:200].decode(errors='replace')}"
