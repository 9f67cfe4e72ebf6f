"""A document goes in, a question finds it, Chroma holds its vectors, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

import msgspec

from orchestrator.clients.chroma import ChromaClient, Item
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import File, KnowledgeBase, Match, WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.progress import Progress
from orchestrator.result import Finding
from orchestrator.verify.prefixes import Stored, probe_prefixes
from orchestrator.verify.question import Question
from orchestrator.verify.traces import METADATA, new_label, remaining_traces, remove_traces

ROUND_TRIP = Question(id="e2e.roundtrip", text="Is a document found again after its way through the whole stack?")
CLEAN = Question(id="e2e.clean", text="Is every trace of the round trip gone?")

QUESTION = "How is the lens of the big lighthouse lamp cleaned?"
ANSWER = "cleaned twice a year with soft cloth and plain alcohol"
"""Stands in one chunk of the handbook, whatever the chunk size."""
INGEST_DEADLINE_S = 300.0
"""For three pages of text. A slow CPU model makes about 1,000 tokens in a few minutes at worst (estimate)."""
MATCHES = 5


class Trip(msgspec.Struct, kw_only=True):
    """What was made so far: the hop that failed and the traces to remove are both read from it."""

    hop: str = "making a knowledge base"
    base: KnowledgeBase | None = None
    file: File | None = None
    matches: tuple[Match, ...] = ()
    stored: tuple[Item, ...] = ()
    dimension: int | None = None


def probe_round_trip(
    plan: Plan, webui: WebUiClient, chroma: ChromaClient, embeddings: EmbeddingsClient, progress: Progress
) -> tuple[Finding, ...]:
    """Three findings: the trip, the prefixes that it proves by effect, and the cleaning up."""
    metadata_was_there = chroma.collection(METADATA) is not None
    for leftover in remove_traces(webui, chroma, metadata_was_there=metadata_was_there):
        progress.note(f"removed what an interrupted verification left: {leftover}")
    trip = Trip()
    found: list[Finding] = []
    try:
        found.append(_travelled(trip, plan, webui, chroma))
        if found[0].verdict == "pass":
            stored = tuple(Stored(text=item.document, vector=item.embedding) for item in trip.stored)
            found.append(probe_prefixes(plan, QUESTION, trip.matches, stored, embeddings))
    finally:
        # Also on Ctrl-C: what was asked for half a second ago must not stay among the users' files.
        remove_traces(webui, chroma, metadata_was_there=metadata_was_there)
    found.append(_cleaned(trip, webui, chroma))
    return tuple(found)


def _travelled(trip: Trip, plan: Plan, webui: WebUiClient, chroma: ChromaClient) -> Finding:
    try:
        _go(trip, webui, chroma)
    except OrchestratorError as error:
        return ROUND_TRIP.failed(
            error.evidence, f"failed while {trip.hop}: {error.message}", error.remedy, "orchestrator wire"
        )
    return _judged(trip, plan)


def _go(trip: Trip, webui: WebUiClient, chroma: ChromaClient) -> None:
    label = new_label()
    trip.base = webui.create_knowledge(label, "Made by orchestrator verify, and removed by it.")
    trip.hop = "uploading a document"
    trip.file = webui.upload(f"{label}.txt", handbook().encode())
    trip.hop = "embedding the document"
    webui.wait_processed(trip.file.id, INGEST_DEADLINE_S)
    trip.hop = "adding it to the knowledge base"
    webui.add_to_knowledge(trip.base.id, trip.file.id, INGEST_DEADLINE_S)
    trip.hop = "asking a question"
    trip.matches = webui.query(trip.base.id, QUESTION, MATCHES)
    trip.hop = "looking into Chroma"
    collection = chroma.collection(trip.base.id)
    if collection is not None:
        trip.dimension = collection.dimension
        trip.stored = chroma.items(collection.id, limit=1000)


def _judged(trip: Trip, plan: Plan) -> Finding:
    evidence = (
        f"{len(trip.stored)} chunks in Chroma, dimension {trip.dimension}; "
        f"{len(trip.matches)} found, best score {trip.matches[0].score if trip.matches else None}"
    )
    if not trip.stored:
        return ROUND_TRIP.failed(evidence, "Open WebUI said done, but Chroma has no vectors", *_REWIRE)
    if trip.dimension != plan.dimension:
        return ROUND_TRIP.failed(evidence, f"the plan's vectors have {plan.dimension} dimensions", *_REWIRE)
    if not trip.matches:
        # Open WebUI swallows every error of a search (facts 7.6).
        reason = "the vectors are there, and the query found nothing: Open WebUI queries with another model or store"
        return ROUND_TRIP.failed(evidence, reason, *_REWIRE)
    if ANSWER not in " ".join(trip.matches[0].document.split()):
        best = trip.matches[0].document[:80]
        return ROUND_TRIP.failed(
            f"{evidence}; first: {best!r}", "another passage came first", "see embed.meaning and e2e.prefix"
        )
    return ROUND_TRIP.passed(evidence)


_REWIRE = ("set Open WebUI as planned", "orchestrator wire", "orchestrator verify")


def _cleaned(trip: Trip, webui: WebUiClient, chroma: ChromaClient) -> Finding:
    left: Sequence[str] = remaining_traces(webui, chroma, trip.base, trip.file)
    if left:
        return CLEAN.failed(
            "; ".join(left), "Open WebUI or Chroma kept what was removed", "run it again", "orchestrator verify"
        )
    return CLEAN.passed("no knowledge base, file, collection or vector of ours in Open WebUI and Chroma")


def handbook() -> str:
    return (files("orchestrator.verify") / "data" / "handbook.txt").read_text(encoding="utf-8")
