"""The client processes of one run: started, begun at one instant, watched, stopped in bounded time, put together."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.bench.client_report import client_report
from orchestrator.bench.correctness import doubles, merged
from orchestrator.bench.documents import Composed, Listed
from orchestrator.bench.load import CODES, ROW_TYPE, Job, Kept, Measured
from orchestrator.bench.messages import Begin, Broke, Done, Message, Ready, Tick, Work, read, write
from orchestrator.bench.records import ClientReport, Endpoint, Failure, Load, Outcome, Requests, Wrong
from orchestrator.errors import EXIT_TOOL, OrchestratorError
from orchestrator.progress import Progress

START_DEADLINE_S = 30.0
"""Importing numpy in each of them, on a busy machine (measured: 0.3 s, 3 s at load 8)."""
LEAD_S = 0.05
"""From the order to begin to the first request."""
MARGIN_S = 15.0
"""Beyond warm-up, measured time and the longest request: sorting and sending the columns."""
STOP_DEADLINE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Driven:
    """What the clients of one run saw."""

    requests: Requests
    client: ClientReport
    wrongs: tuple[Wrong, ...]
    failures: tuple[Failure, ...]
    kept: tuple[Kept, ...]
    notes: tuple[str, ...]
    zero: float
    """Second 0 of all records on CLOCK_MONOTONIC."""
    interrupted: bool
    documents_sent: int


@dataclass(frozen=True, kw_only=True)
class Send:
    """One run's order to all its clients."""

    endpoint: Endpoint
    load: Load
    documents: Composed | Listed
    dimension: int
    first_document: int = 0


def drive(send: Send, progress: Progress) -> Driven:
    """Run the load. Ctrl-C ends it early and keeps what was measured."""
    crew = _Crew(send)
    try:
        zero = crew.begin(send.load.warmup_s)
        interrupted = crew.follow(progress)
    finally:
        crew.dismiss()
    return _put_together(send, crew.measured, zero, interrupted)


class _Crew:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._said: queue.Queue[tuple[int, Message | None]] = queue.Queue()
        self._documents = [0] * send.load.workers
        self.measured: dict[int, Measured] = {}
        self._processes = [_start() for _ in range(send.load.workers)]
        for number, process in enumerate(self._processes):
            threading.Thread(target=self._listen, args=(number, process), daemon=True).start()

    def begin(self, warmup_s: float) -> float:
        spread = max(self._send.documents.capacity // self._send.load.workers, 1)
        for number, process in enumerate(self._processes):
            job = Job(
                endpoint=self._send.endpoint,
                load=self._send.load,
                documents=self._send.documents,
                dimension=self._send.dimension,
                worker=number,
                first_document=self._send.first_document + number * spread,
            )
            _tell(process, Work(job=job))
        waiting = set(range(len(self._processes)))
        until = time.monotonic() + START_DEADLINE_S
        while waiting:
            number, message = self._next(until)
            if isinstance(message, Ready):
                waiting.discard(number)
        at = time.monotonic() + LEAD_S + warmup_s
        for process in self._processes:
            _tell(process, Begin(at=at))
        return at

    def follow(self, progress: Progress) -> bool:
        """Until every client is done; True when it was interrupted."""
        load = self._send.load
        until = time.monotonic() + load.warmup_s + load.duration_s + load.timeout_s + MARGIN_S
        try:
            self._collect(until, progress)
        except KeyboardInterrupt:
            for process in self._processes:
                _hang_up(process)
            self._collect(time.monotonic() + STOP_DEADLINE_S, progress)
            return True
        return False

    def dismiss(self) -> None:
        for process in self._processes:
            _hang_up(process)
        for process in self._processes:
            try:
                process.wait(1.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _collect(self, until: float, progress: Progress) -> None:
        while len(self.measured) < len(self._processes):
            number, message = self._next(until)
            if isinstance(message, Done):
                self.measured[number] = message.measured
            elif isinstance(message, Tick):
                self._documents[number] = message.documents
                progress.advance("documents", sum(self._documents), None)

    def _next(self, until: float) -> tuple[int, Message]:
        try:
            number, message = self._said.get(timeout=max(until - time.monotonic(), 0.01))
        except queue.Empty:
            raise _lost("does not answer in time", "") from None
        if message is None:
            raise _lost("ended without a result", "")
        if isinstance(message, Broke):
            raise _lost("failed", message.text)
        return number, message

    def _listen(self, number: int, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        while True:
            message = read(process.stdout)
            if message is None and number in self.measured:
                return
            self._said.put((number, message))
            if message is None or isinstance(message, Done):
                return


def _start() -> subprocess.Popen[bytes]:
    # A process group of its own: Ctrl-C reaches the tool alone, which stops its clients and keeps what they measured.
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.bench.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        process_group=0,
    )


def _tell(process: subprocess.Popen[bytes], message: Message) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    try:
        write(process.stdin, message)
    except BrokenPipeError:
        raise _lost("ended at once", "") from None


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.stdin is not None:
            process.stdin.close()
    except BrokenPipeError:
        return


def _lost(what: str, evidence: str) -> OrchestratorError:
    return OrchestratorError(
        "client_lost",
        f"a client process of the benchmark {what}",
        remedy="run it again; --workers 1 starts only one",
        evidence=evidence,
        exit_code=EXIT_TOOL,
    )


def _put_together(send: Send, measured: dict[int, Measured], zero: float, interrupted: bool) -> Driven:
    several = [measured[number] for number in sorted(measured)]
    parts = [np.frombuffer(each.rows, ROW_TYPE) for each in several]
    rows = np.concatenate(parts)
    workers = np.repeat(np.array(sorted(measured), np.int16), [len(part) for part in parts])
    received = np.frombuffer(b"".join(each.received for each in several), np.int64)
    order = np.argsort(rows["intended_s"], kind="stable")
    requests = _requests(rows[order], workers[order], received[order])
    twin = twin_of(rows, several, send.documents.capacity)
    wrongs = merged([*(wrong for each in several for wrong in each.wrongs), *([twin] if twin else [])])
    sent = int(rows["documents"].sum())
    return Driven(
        requests=requests,
        client=client_report(several, send.load, requests),
        wrongs=wrongs,
        failures=_failures(several),
        kept=tuple(kept for each in several for kept in each.kept),
        notes=_notes(send, several, sent, interrupted),
        zero=zero,
        interrupted=interrupted,
        documents_sent=sent,
    )


def _requests(rows: np.ndarray[Any, Any], workers: np.ndarray[Any, Any], received: np.ndarray[Any, Any]) -> Requests:
    return Requests(
        intended_s=rows["intended_s"].copy(),
        sent_s=rows["sent_s"].copy(),
        done_s=rows["done_s"].copy(),
        outcome=rows["outcome"].astype(np.uint8),
        status=rows["status"].astype(np.int16),
        documents=rows["documents"].astype(np.int32),
        tokens_sent=rows["tokens_sent"].copy(),
        tokens_counted=rows["tokens_counted"].copy(),
        received_bytes=received,
        worker=workers,
    )


def twin_of(rows: np.ndarray[Any, Any], several: Sequence[Measured], capacity: int) -> Wrong | None:
    """Fingerprints stand in the order of the right answers; each belongs to a document by its number."""
    right = rows[rows["outcome"] == CODES["ok"]]
    counts = right["documents"].astype(np.int64)
    prints = np.frombuffer(b"".join(each.prints for each in several), np.uint64)
    if not len(prints):
        return None
    starts = np.repeat(right["first"], counts)
    within = np.arange(len(starts)) - np.repeat(np.cumsum(counts) - counts, counts)
    return doubles(prints, (starts + within) % capacity)


def _failures(several: Sequence[Measured]) -> tuple[Failure, ...]:
    found: dict[Outcome, tuple[int, str]] = {}
    for failure in (failure for each in several for failure in each.failures):
        count, example = found.get(failure.outcome, (0, failure.example))
        found[failure.outcome] = (count + failure.count, example)
    return tuple(Failure(outcome=outcome, count=n, example=example) for outcome, (n, example) in found.items())


def _notes(send: Send, several: Sequence[Measured], sent: int, interrupted: bool) -> tuple[str, ...]:
    notes = []
    if interrupted:
        done_s = max((each.measured_s for each in several), default=0.0)
        notes.append(f"interrupted after {done_s:.1f} of {send.load.duration_s:g} s")
    if any(each.as_numbers for each in several) and send.endpoint.api == "openai":
        notes.append("the server ignores encoding_format=base64: vectors came as JSON numbers, which costs both sides")
    if any(each.untold_tokens for each in several):
        notes.append("some answers do not tell their tokens: their lengths are the tokenizer's, not confirmed")
    if unsent := sum(each.unsent for each in several):
        notes.append(
            f"{unsent} requests of the schedule were never sent, all {send.load.concurrency} connections being busy: "
            "the server cannot keep this rate, or --concurrency is too low"
        )
    if sent > send.documents.capacity:
        notes.append(f"documents were repeated: there are {send.documents.capacity} different ones, {sent} were sent")
    return tuple(notes)
