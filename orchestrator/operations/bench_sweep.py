"""`bench sweep`: one curve per length and batch, the load rising until more of it brings nothing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from orchestrator.bench.records import Load, Run, Sweep
from orchestrator.bench.sweep import Axes, curves, is_flat
from orchestrator.operations.bench import (
    BenchRequest,
    find_subject,
    goal_of,
    measure,
    open_server,
    prepare,
    with_workers,
)
from orchestrator.progress import Progress

if TYPE_CHECKING:
    from orchestrator.bench.documents import Composed, Listed
    from orchestrator.bench.endpoint import Server
    from orchestrator.operations.bench_report import Reported
    from orchestrator.operations.bench_subject import Subject


def bench_sweep(request: BenchRequest, axes: Axes, progress: Progress) -> Reported:
    from orchestrator.bench.store import new_run_folder, write_sweep
    from orchestrator.operations.bench_report import Asked, report

    subject = find_subject(request, progress)
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    points: list[Run] = []
    with closing(open_server(subject)) as server:
        for curve in curves(request.load, axes):
            shaped = msgspec.structs.replace(request, load=curve[0])
            documents, first, notes = prepare(shaped, subject, server, progress)
            points += [
                replace(run, goal=goal_of(request, subject), notes=(*notes, *run.notes))
                for run in _climb([_like(first, load) for load in curve], subject, server, documents, progress)
            ]
            if points and any(note.startswith("interrupted") for note in points[-1].notes):
                break
    folder = new_run_folder(subject.base)
    write_sweep(Sweep(points=tuple(points), started_at=started_at), folder)
    return report(folder, request.stack, Asked())


def _climb(
    loads: list[Load], subject: Subject, server: Server, documents: Composed | Listed, progress: Progress
) -> list[Run]:
    """Up one curve, until it is flat or was interrupted."""
    from orchestrator.bench.statistics import statistics_of

    runs: list[Run] = []
    for number, load in enumerate(loads):
        # A seed a point: else the server would get documents that it has seen at the point before.
        own = msgspec.structs.replace(load, seed=load.seed + number)
        runs.append(
            measure(with_workers(own, subject, server, documents, progress), subject, server, documents, progress)
        )
        interrupted = any(note.startswith("interrupted") for note in runs[-1].notes)
        if interrupted or is_flat([statistics_of(run).docs_per_s for run in runs]):
            break
    return runs


def _like(first: Load, load: Load) -> Load:
    """With the seed and the name of the documents that were made for the curve."""
    return msgspec.structs.replace(load, seed=first.seed, tokens=first.tokens)
