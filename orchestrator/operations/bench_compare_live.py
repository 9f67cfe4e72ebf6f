"""`bench compare URL URL`: both are measured now, in turns: a machine that changes meanwhile changes for both."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from orchestrator.bench.records import Run, Sweep
from orchestrator.operations.bench import BenchRequest, find_subject, measure, open_server, prepare, with_workers
from orchestrator.operations.bench_compare import Compared, Terms, compare_measured
from orchestrator.progress import Progress

if TYPE_CHECKING:
    from orchestrator.bench.documents import Composed, Listed
    from orchestrator.bench.endpoint import Server
    from orchestrator.bench.records import Load
    from orchestrator.operations.bench_subject import Subject

STACK = "stack:"


class Side:
    """One endpoint with the documents that are made for its tokenizer."""

    def __init__(self, place: str, request: BenchRequest, opened: ExitStack, progress: Progress) -> None:
        self.place = place
        self._progress = progress
        here = _at(place, request)
        self.subject: Subject = find_subject(here, progress)
        self.server: Server = opened.enter_context(closing(open_server(self.subject)))
        documents, load, self._notes = prepare(here, self.subject, self.server, progress)
        self.documents: Composed | Listed = documents
        self.load: Load = with_workers(load, self.subject, self.server, documents, progress)

    def run(self, turn: int, workers: int) -> Run:
        """Another seed each turn: a server must not see a document twice."""
        load = msgspec.structs.replace(self.load, seed=self.load.seed + turn, workers=workers)
        run = measure(load, self.subject, self.server, self.documents, self._progress)
        return replace(run, notes=(*self._notes, *run.notes))


def is_live(place: str) -> bool:
    return place.startswith(("http://", "https://", STACK))


class LiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    a: str
    """A URL, or `stack:NAME`."""
    b: str
    each: BenchRequest
    """What is sent, to both."""
    rounds: int


def compare_live(request: LiveRequest, terms: Terms, progress: Progress) -> Compared:
    """A B B A ...; stored as two repetitions, so that `compare` can be asked again without measuring."""
    from orchestrator.bench.store import new_run_folder, write_sweep

    runs: dict[str, list[Run]] = {"a": [], "b": []}
    with ExitStack() as opened:
        places = {"a": request.a, "b": request.b}
        sides = {name: Side(place, request.each, opened, progress) for name, place in places.items()}
        workers = max(side.load.workers for side in sides.values())
        for turn in range(request.rounds):
            for name in ("a", "b") if turn % 2 == 0 else ("b", "a"):
                progress.step(f"{name.upper()}, {turn + 1} of {request.rounds}: {sides[name].place}")
                runs[name].append(sides[name].run(turn, workers))
    folder = new_run_folder()
    for name, several in runs.items():
        write_sweep(Sweep(points=tuple(several), started_at=several[0].started_at), folder / name)
    return compare_measured(runs["a"], runs["b"], terms, a=str(folder / "a"), b=str(folder / "b"))


def _at(place: str, request: BenchRequest) -> BenchRequest:
    if place.startswith(STACK):
        return msgspec.structs.replace(request, stack=place.removeprefix(STACK), url=None, model="", key_file=None)
    return msgspec.structs.replace(request, url=place)
