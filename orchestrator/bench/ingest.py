"""One file's way through Open WebUI to ChromaDB: how long, which hop takes it, and whether Open WebUI still answers.

Everything is seen from outside while the file is processed: the embedding server counts its tokens, Chroma its
vectors, and Open WebUI's `/health` answers from the event loop that does the work.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from orchestrator.bench.records import Series
from orchestrator.bench.telemetry import Reading, Sampler, Source
from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.verify.round_trip import handbook
from orchestrator.verify.traces import new_label
from orchestrator.waiting import DeadlineError, wait_until
from orchestrator.wiring.settings import Settings

LOOK_EVERY_S = 0.1
"""Of all that is watched; a hop is told no more finely than this."""
STALL_S = 0.5
"""Who waits this long for a page's first sign of life notices (estimate; measured with the defaults: 1.6 s)."""
DEADLINE_S = 600.0
SHORTEST_PART = 0.75
"""Of a chunk, so that no two paragraphs share one."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How Open WebUI asks for embeddings. Chunks are the same for all ways: another size would be other work."""

    name: str
    batch: int
    asynchronous: bool
    concurrent: int
    """0: without a limit."""

    def over(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(
            settings,
            embedding_batch_size=self.batch,
            embedding_async=self.asynchronous,
            embedding_concurrent_requests=self.concurrent,
        )


DEFAULTS = Way(name="default", batch=1, asynchronous=True, concurrent=0)
"""Vendor: RAG_EMBEDDING_BATCH_SIZE, ENABLE_ASYNC_EMBEDDING, RAG_EMBEDDING_CONCURRENT_REQUESTS of 0.12.4."""


class Hops(msgspec.Struct, frozen=True, kw_only=True):
    """Where the seconds went, in order. They add up to the whole."""

    reading_s: float
    """Open WebUI takes the file, reads and splits it."""
    embedding_s: float
    """From the first to the last token that the embedding server counted."""
    storing_s: float
    """Until Chroma had all vectors."""
    finishing_s: float
    """Until Open WebUI said that it was done."""


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    way: Way
    chunks: int
    seconds: float
    hops: Hops | None
    """None where the embedding server does not tell what it does (Ollama)."""
    longest_health_s: float
    stalls: int
    """Answers of `/health` that took longer than half a second."""

    @property
    def chunks_per_s(self) -> float:
        return self.chunks / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The services of one stack."""

    webui: WebUiClient
    watch: WebUiClient
    """Open WebUI by a connection of its own, for `/health`."""
    chroma: ChromaClient
    server: Sequence[Source]
    """What the embedding server tells of itself; nothing, where it is Ollama."""


class HealthSource:
    """How long Open WebUI takes to say that it lives."""

    name = "Open WebUI's /health"
    every_s = LOOK_EVERY_S
    units = {"webui.health": "s"}  # noqa: RUF012 - read only

    def __init__(self, webui: WebUiClient) -> None:
        self._webui = webui

    def read(self) -> Reading:
        begin = time.monotonic()
        self._webui.healthy()
        return {"webui.health": time.monotonic() - begin}


class StoredSource:
    """How many of one file's vectors Chroma has."""

    name = "Chroma's count of the file's vectors"
    every_s = LOOK_EVERY_S
    units = {"vectors.stored": "vectors"}  # noqa: RUF012 - read only

    def __init__(self, chroma: ChromaClient) -> None:
        self._chroma = chroma
        self.file_id: str | None = None

    def read(self) -> Reading:
        return {"vectors.stored": float(stored(self._chroma, self.file_id))}


def stored(chroma: ChromaClient, file_id: str | None) -> int:
    """Open WebUI keeps the vectors of an uploaded file in a collection of their own."""
    collection = chroma.collection(f"file-{file_id}") if file_id else None
    return chroma.count(collection.id) if collection is not None else 0


def travel(doors: Doors, way: Way, text: str) -> Trip:
    """One upload, embedded once, with the settings of `way` already set. Leaves the file: verify/traces.py finds it."""
    webui, chroma = doors.webui, doors.chroma
    arrived = StoredSource(chroma)
    with Sampler([*doors.server, HealthSource(doors.watch), arrived]) as sampler:
        time.sleep(2 * LOOK_EVERY_S)
        begin = time.monotonic()
        file = webui.upload(f"{new_label()}.txt", text.encode())
        arrived.file_id = file.id
        wait_processed(webui, file.id)
        end = time.monotonic()
    series = {each.name: each for each in sampler.series(begin)}
    health = series.get("webui.health")
    waits = _within(health, end - begin) if health is not None else np.empty(0)
    return Trip(
        way=way,
        chunks=stored(chroma, file.id),
        seconds=end - begin,
        hops=hops_of(series.get("server.tokens"), series.get("vectors.stored"), end - begin),
        longest_health_s=float(waits.max()) if len(waits) else 0.0,
        stalls=int((waits > STALL_S).sum()),
    )


def wait_processed(webui: WebUiClient, file_id: str) -> None:
    """Looks more often than a verification does: the pause is part of what is measured."""

    def refusal() -> str | None:
        status = webui.file_status(file_id)
        if status == "failed":
            raise OrchestratorError(
                "ingest_failed",
                f"Open WebUI could not process a file: {webui.file_error(file_id)}",
                remedy="orchestrator logs webui; orchestrator verify shows which part is at fault",
            )
        return None if status == "completed" else f"the file is {status}"

    try:
        wait_until(refusal, DEADLINE_S, pause=lambda wanted_s: time.sleep(min(wanted_s, LOOK_EVERY_S)))
    except DeadlineError as late:
        raise OrchestratorError(
            "ingest_timeout",
            f"Open WebUI did not finish a file in {late.waited_s:.0f} s: {late.reason}",
            remedy="measure with fewer chunks: --chunks 50",
        ) from late


def hops_of(tokens: Series | None, vectors: Series | None, seconds: float) -> Hops | None:
    """Pure: from two counters that only grow, by when they began and ceased to."""
    if tokens is None or len(tokens.value) < 2:
        return None
    grew = np.flatnonzero(np.diff(tokens.value) > 0)
    if not len(grew):
        return None
    first, last = float(tokens.time_s[grew[0]]), float(tokens.time_s[grew[-1] + 1])
    embedding_from, embedded = min(max(first, 0.0), seconds), min(max(last, 0.0), seconds)
    whole = seconds
    if vectors is not None and len(vectors.value) and vectors.value.max() > 0:
        whole = float(vectors.time_s[int(np.argmax(vectors.value == vectors.value.max()))])
    there = min(max(whole, embedded), seconds)
    return Hops(
        reading_s=embedding_from,
        embedding_s=embedded - embedding_from,
        storing_s=there - embedded,
        finishing_s=seconds - there,
    )


def _within(series: Series, seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = series.value[
        (series.time_s >= 0) & (series.time_s <= seconds)
    ]
    return values


def text_of(chunks: int, chunk_size: int, seed: int) -> str:
    """A text that Open WebUI splits into this many chunks, none of which was ever seen: the handbook's words, shuffled.

    One paragraph a chunk: the splitter cuts at empty lines first.
    """
    draw = random.Random(seed)  # noqa: S311 - texts, not secrets
    words = sorted(set(re.findall(r"[a-z]{3,12}", handbook())))
    return "\n\n".join(_paragraph(draw, words, chunk_size) for _ in range(chunks))


def _paragraph(draw: random.Random, words: list[str], size: int) -> str:
    """Longer than half a chunk, so that the splitter never puts two into one; shorter than one with its empty line."""
    longest = size - len("\n\n") - len(".") - 1  # the splitter cuts what is as long as a chunk
    wanted = draw.randint(int(size * SHORTEST_PART), longest)
    paragraph = draw.choice(words).capitalize()
    while len(paragraph) < wanted:
        paragraph += f" {draw.choice(words)}"
    return paragraph[:longest].rstrip() + "."


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    gain: float
    """Chunks per second of the planned settings over the defaults'."""
    holds: bool
    reasons: tuple[str, ...]


def judge(planned: Sequence[Trip], defaults: Sequence[Trip]) -> Judgement:
    """The planned settings must not be slower, and must leave Open WebUI answering."""
    gain = _rate(planned) / _rate(defaults) if _rate(defaults) else 0.0
    reasons = [f"{gain:.2f} times the chunks/s of Open WebUI's defaults"]
    stalls = sum(trip.stalls for trip in planned)
    longest = max(trip.longest_health_s for trip in planned)
    if stalls:
        reasons.append(f"{stalls} answers of /health took longer than {STALL_S:g} s (longest {longest:.2f} s)")
    else:
        reasons.append(f"/health answered within {longest:.2f} s all the time")
    return Judgement(gain=gain, holds=gain >= 1 and not stalls, reasons=tuple(reasons))


def _rate(trips: Sequence[Trip]) -> float:
    seconds = sum(trip.seconds for trip in trips)
    return sum(trip.chunks for trip in trips) / seconds if seconds else 0.0
