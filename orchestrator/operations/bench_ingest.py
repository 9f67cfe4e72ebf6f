"""`bench ingest`: the stack's settings of Open WebUI against that program's own defaults, in one run, interleaved."""

from __future__ import annotations

from contextlib import closing, suppress
from random import SystemRandom
from typing import Any

import msgspec

from orchestrator.bench.ingest import (
    DEFAULTS,
    LOOK_EVERY_S,
    Doors,
    Judgement,
    Trip,
    Way,
    judge,
    text_of,
    travel,
    wait_processed,
)
from orchestrator.bench.server_metrics import MetricsSource
from orchestrator.bench.telemetry import Source
from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import EXIT_OK, EXIT_VERDICT, OrchestratorError
from orchestrator.operations.alone import alone
from orchestrator.operations.secrets import read_secrets
from orchestrator.operations.stack import Stack, existing_stack
from orchestrator.plan.records import Retrieval
from orchestrator.progress import Progress
from orchestrator.result import Result
from orchestrator.state import StackFolder
from orchestrator.verify.traces import METADATA, PREFIX, remove_traces
from orchestrator.wiring.settings import Settings, embedding_body
from orchestrator.wiring.wire import read_settings

PLANNED = "planned"


class IngestRequest(msgspec.Struct, frozen=True, kw_only=True):
    stack: str
    chunks: int = 200
    """Of one file."""
    rounds: int = 2
    lock_timeout_s: float = 600.0


def ingest(request: IngestRequest, progress: Progress) -> Result:
    """Files go up, are embedded, and are removed again; the settings are put back, also on Ctrl-C."""
    stack = existing_stack(request.stack)
    _require_webui(stack)
    secrets = read_secrets(stack.folder)
    key = secrets["webui_api_key"]
    with (
        alone(StackFolder(request.stack), "bench ingest", request.lock_timeout_s, progress),
        closing(WebUiClient(stack.url("webui"), token=key)) as webui,
        closing(WebUiClient(stack.url("webui"), token=key)) as watch,
        closing(ChromaClient(stack.url("vectors"))) as chroma,
    ):
        doors = Doors(webui=webui, watch=watch, chroma=chroma, server=_server(stack, secrets))
        trips = _measure(request, stack.plan.retrieval, doors, progress)
    return result_of(request, trips)


def _measure(request: IngestRequest, retrieval: Retrieval, doors: Doors, progress: Progress) -> list[Trip]:
    webui, chroma = doors.webui, doors.chroma
    found = read_settings(webui)
    seed = SystemRandom().randrange(1, 2**31)
    metadata_was_there = chroma.collection(METADATA) is not None
    remove_traces(webui, chroma, metadata_was_there=metadata_was_there)
    planned = Way(
        name=PLANNED,
        batch=retrieval.embedding_batch_size,
        asynchronous=True,
        concurrent=retrieval.concurrent_requests,
    )
    trips: list[Trip] = []
    try:
        for position, way in enumerate(order_of(planned, request.rounds)):
            progress.step(
                f"{request.chunks} chunks with the {way.name} settings ({position + 1} of {2 * request.rounds})"
            )
            webui.update_embedding_settings(embedding_body(way.over(found)))
            text = text_of(request.chunks, found.chunk_size, seed + position)
            trips.append(travel(doors, way, text))
            progress.note(f"{trips[-1].chunks_per_s:.1f} chunks/s")
    finally:
        progress.step("put the settings back and remove the files")
        _put_back(webui, chroma, found, metadata_was_there=metadata_was_there)
    return trips


def order_of(planned: Way, rounds: int) -> list[Way]:
    """A B B A: a machine that grows slower or faster meanwhile does so to both."""
    pairs = [(planned, DEFAULTS) if index % 2 == 0 else (DEFAULTS, planned) for index in range(rounds)]
    return [way for pair in pairs for way in pair]


def _put_back(webui: WebUiClient, chroma: ChromaClient, found: Settings, *, metadata_was_there: bool) -> None:
    """The settings first: they matter to the next file of a user. A file that is interrupted halfway is waited for,
    because Open WebUI would write its vectors after its removal."""
    try:
        webui.update_embedding_settings(embedding_body(found))
        for file in webui.files(f"{PREFIX}*"):
            with suppress(OrchestratorError):  # a file that failed is finished, too
                wait_processed(webui, file.id)
    finally:
        remove_traces(webui, chroma, metadata_was_there=metadata_was_there)


def _server(stack: Stack, secrets: dict[str, str]) -> list[Source]:
    """Ollama tells nothing of what it has done: then there are no hops."""
    if stack.plan.backend == "ollama":
        return []
    url, key = stack.url("embeddings"), secrets["embeddings_api_key"]
    return [MetricsSource(stack.plan.backend, url, key, LOOK_EVERY_S)]


def _require_webui(stack: Stack) -> None:
    if not (stack.has("webui") and stack.has("vectors")):
        raise OrchestratorError(
            "no_webui",
            f"stack {stack.plan.stack} has no Open WebUI and ChromaDB: nothing can be ingested",
            remedy="orchestrator bench measures its embedding server; "
            "orchestrator up rag --stack NAME makes a whole one",
        )


def result_of(request: IngestRequest, trips: list[Trip]) -> Result:
    planned = [trip for trip in trips if trip.way.name == PLANNED]
    defaults = [trip for trip in trips if trip.way.name != PLANNED]
    judgement: Judgement = judge(planned, defaults)
    data: dict[str, Any] = {
        "stack": request.stack,
        "gain": judgement.gain,
        "reasons": judgement.reasons,
        "trips": [{**msgspec.to_builtins(trip), "chunks_per_s": trip.chunks_per_s} for trip in trips],
    }
    return Result(command="bench", data=data, exit_code=EXIT_OK if judgement.holds else EXIT_VERDICT)
