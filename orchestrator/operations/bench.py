"""`bench smoke`: documents of a known length at a known load, every answer checked, one stored run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from os import cpu_count
from pathlib import Path
from random import Random, SystemRandom
from typing import TYPE_CHECKING

import msgspec

from orchestrator.bench.lengths import lengths_of
from orchestrator.bench.records import Api, Goal, Load, Run
from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.operations.bench_subject import Subject, subject_at, subject_of, with_peak
from orchestrator.progress import Progress

if TYPE_CHECKING:
    from orchestrator.bench.documents import Composed, Listed
    from orchestrator.bench.endpoint import Server
    from orchestrator.bench.fleet import Driven
    from orchestrator.operations.bench_report import Reported

TRIAL_S = 1.5
"""How long one client process is tried before it is decided whether it needs help."""
ROOM = 0.6
"""Share of a core above which a trial's process gets company (estimate: below it a run has spare)."""
MOST_WORKERS = 8
REST_S = 1.0
"""Watched before the load, for what the machine draws at rest."""
FILE_TEXTS = 2000
"""Texts measured of a user's file: each costs a call (derived: 10 s at 5 ms)."""


class BenchRequest(msgspec.Struct, frozen=True, kw_only=True):
    load: Load
    """`seed` 0: a new one, so that no server has seen the documents. `workers` 0: as many as are needed."""
    stack: str = "default"
    url: str | None = None
    model: str = ""
    key_file: Path | None = None
    api: Api | None = None
    texts: Path | None = None
    goal: Goal = Goal()
    """What flags ask for; the rest is the stack's target."""
    measure_peak: bool = False


def bench(request: BenchRequest, progress: Progress) -> Reported:
    """One run, from the first question to the stored record."""
    from orchestrator.bench.assessment import assess
    from orchestrator.bench.store import new_run_folder, write_run
    from orchestrator.operations.bench_report import Reported

    subject = find_subject(request, progress)
    with closing(open_server(subject)) as server:
        documents, load, notes = prepare(request, subject, server, progress)
        load = with_workers(load, subject, server, documents, progress)
        run = measure(load, subject, server, documents, progress)
    run = replace(run, goal=goal_of(request, subject), notes=(*notes, *run.notes))
    folder = new_run_folder(subject.base)
    write_run(run, folder)
    return Reported(assessment=assess(run, str(folder)))


def find_subject(request: BenchRequest, progress: Progress) -> Subject:
    progress.step("look at what is measured")
    if request.url is None:
        subject = subject_of(request.stack)
    else:
        if not request.model:
            raise usage_error("--model", "", "is needed with --url", "the name under which the endpoint serves it")
        subject = subject_at(request.url, request.model, _key(request.key_file), request.api)
    if request.measure_peak:
        progress.step("measure the device's own peak")
        subject = with_peak(subject)
    return subject


def open_server(subject: Subject) -> Server:
    from orchestrator.bench.endpoint import Server
    from orchestrator.operations.bench_subject import ASK_TIMEOUT_S

    return Server(subject.endpoint, ASK_TIMEOUT_S)


def prepare(
    request: BenchRequest, subject: Subject, server: Server, progress: Progress
) -> tuple[Composed | Listed, Load, tuple[str, ...]]:
    """Documents of known length for this server's tokenizer, and the load with its seed."""
    seed = request.load.seed or SystemRandom().randrange(1, 2**31)
    load = msgspec.structs.replace(request.load, seed=seed)
    progress.step(f"make documents ({load.tokens})")
    if request.texts is not None:
        documents, notes = _listed(request.texts, server)
        return documents, msgspec.structs.replace(load, tokens="file"), notes
    lengths = lengths_of(load.tokens)
    if subject.max_length is not None and max(lengths) > subject.max_length:
        raise usage_error(
            "--tokens", load.tokens, f"the model reads {subject.max_length} tokens", f"--tokens {subject.max_length}"
        )
    composed, notes = _composed(server, lengths, seed)
    return composed, load, notes


def _composed(server: Server, lengths: Sequence[int], seed: int) -> tuple[Composed, tuple[str, ...]]:
    from orchestrator.bench.workload import BY_EMBEDDING, BY_TOKENIZER, compose, confirmed, measure, plain

    vocabulary = measure(server.count, server.unlike, BY_TOKENIZER if server.tokenizes else BY_EMBEDDING)
    tells = server.first.tokens > 0
    untold = () if tells else ("the server does not tell its tokens: the lengths are its tokenizer's",)

    def counted(texts: Sequence[str]) -> Sequence[int]:
        """By embedding them, where its answer tells: what the run itself will see."""
        return [server.embedded_tokens(text) for text in texts] if tells else server.count(texts)

    wrong = None
    for pieces, note in ((vocabulary, ()), (plain(vocabulary), ("documents are single words: phrases do not add up",))):
        documents = compose(pieces, lengths, seed)
        try:
            wrong = confirmed(documents, counted)
        except OrchestratorError as error:
            if error.code != "refused":
                raise
            raise usage_error(
                "--tokens", max(lengths), f"the server refuses it: {error.message}", "shorter documents"
            ) from error
        if wrong is None:
            return documents, (*untold, *note)
    raise OrchestratorError(
        "no_exact_length",
        f"documents of an exact length cannot be made for this server: {wrong}",
        remedy="measure with texts of your own: --texts FILE, one document a line",
    )


def _listed(path: Path, server: Server) -> tuple[Listed, tuple[str, ...]]:
    from orchestrator.bench.workload import LONGEST_FILE_BYTES, listed, texts_of

    try:
        if path.stat().st_size > LONGEST_FILE_BYTES:
            raise usage_error("--texts", str(path), f"has more than {LONGEST_FILE_BYTES} bytes", "give a part of it")
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise usage_error("--texts", str(path), f"cannot be read ({error})", "a UTF-8 text file") from error
    texts = texts_of(content, str(path))
    cut = (f"the first {FILE_TEXTS} of {len(texts)} texts were used",) if len(texts) > FILE_TEXTS else ()
    return listed(texts[:FILE_TEXTS], server.count), cut


def with_workers(
    load: Load, subject: Subject, server: Server, documents: Composed | Listed, progress: Progress
) -> Load:
    """As many client processes as this server needs, found by trying one; no more than there are cores."""
    from orchestrator.bench.fleet import Send, drive

    if load.workers:
        return load
    one = msgspec.structs.replace(load, workers=1, warmup_s=0.5, duration_s=TRIAL_S)
    progress.step("try one client process")
    send = Send(
        endpoint=subject.endpoint,
        load=one,
        documents=documents,
        dimension=server.dimension,
        first_document=_first_document(documents, load.seed, "trial"),
    )
    trial = drive(send, progress)
    if trial.interrupted:
        raise KeyboardInterrupt  # nothing was measured yet that could be kept
    busy = trial.client.busiest_worker
    wanted = 1 if busy <= ROOM else min(cpu_count() or 1, load.concurrency, MOST_WORKERS)
    return msgspec.structs.replace(load, workers=wanted)


def measure(load: Load, subject: Subject, server: Server, documents: Composed | Listed, progress: Progress) -> Run:
    """The load with everything that is watched meanwhile, and the sample afterwards."""
    import time

    from orchestrator.bench.correctness import merged
    from orchestrator.bench.fleet import Send, drive
    from orchestrator.bench.resample import resample
    from orchestrator.bench.telemetry import Sampler

    send = Send(
        endpoint=subject.endpoint,
        load=load,
        documents=documents,
        dimension=server.dimension,
        first_document=_first_document(documents, load.seed, "run"),
    )
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    with Sampler(subject.sources) as sampler:
        time.sleep(REST_S)
        progress.step(f"measure for {load.warmup_s + load.duration_s:g} s ({_in_words(load)})")
        driven = drive(send, progress)
    again = resample(driven.kept, documents, server.embed, subject.repeat_floor)
    return Run(
        endpoint=subject.endpoint,
        load=load,
        started_at=started_at,
        requests=driven.requests,
        client=driven.client,
        dimension=server.dimension,
        tokens_per_doc=_tokens_per_doc(driven, documents),
        wrongs=merged([*driven.wrongs, *again.wrongs]),
        failures=driven.failures,
        telemetry=sampler.series(driven.zero),
        fingerprint=subject.fingerprint,
        limits=subject.limits,
        notes=(*subject.notes, *driven.notes, *sampler.notes, *((again.note,) if again.note else ())),
    )


def goal_of(request: BenchRequest, subject: Subject) -> Goal:
    """A target from a flag is for the length that is sent; the preset's is for its own."""
    asked, preset = request.goal, subject.target
    own = asked.docs_per_s is not None
    return Goal(
        docs_per_s=asked.docs_per_s if own else preset.docs_per_s,
        tokens_per_doc=asked.tokens_per_doc if own else preset.tokens_per_doc,
        p95_ms=asked.p95_ms,
        max_errors=asked.max_errors,
    )


def _first_document(documents: Composed | Listed, seed: int, what: str) -> int:
    """Runs, and the trial before one, begin at different places: no document was seen before."""
    return Random(f"{seed}/{what}").randrange(documents.capacity)  # noqa: S311 - texts, not secrets


def _tokens_per_doc(driven: Driven, documents: Composed | Listed) -> float:
    sent = driven.requests.documents[driven.requests.tokens_sent > 0].sum()
    return float(driven.requests.tokens_sent.sum() / sent) if sent else documents.mean_tokens


def _in_words(load: Load) -> str:
    how = f"{load.concurrency} at once" if load.rate is None else f"{load.rate:g} requests/s, {load.arrival}"
    return f"{load.batch} documents a request, {how}"


def _key(path: Path | None) -> str:
    """From a file: a key in an argv is everybody's."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise usage_error("--api-key-file", str(path), f"cannot be read ({error})", "a file with the key") from error
