"""All probes of a running stack, in the order in which their answers build on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import NamedTuple

import msgspec

from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.progress import Progress
from orchestrator.result import Finding
from orchestrator.verify.embed_long import LONG, probe_long
from orchestrator.verify.embed_meaning import MEANING, probe_meaning
from orchestrator.verify.embed_retrieval import RETRIEVAL, probe_retrieval
from orchestrator.verify.embed_shape import BATCH, MATRYOSHKA, SHAPE, probe_batch, probe_matryoshka, probe_shape
from orchestrator.verify.question import Question
from orchestrator.verify.round_trip import ROUND_TRIP, probe_round_trip
from orchestrator.verify.stack import (
    DIMENSION,
    EFFECTIVE,
    HEALTH,
    PATH,
    READY,
    probe_chroma,
    probe_dimension,
    probe_effective,
    probe_path,
    probe_ready,
)
from orchestrator.wiring.settings import Settings, desired_settings


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Base URLs, without `/v1` and without a trailing slash; None where the stack has no such service."""

    embeddings: str | None = None
    webui: str | None = None
    vectors: str | None = None
    embeddings_from_webui: str | None = None
    """The same embedding server under the name that Open WebUI uses (`Place.url_of`)."""


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    embeddings: str = ""
    webui: str = ""
    """An API key of the admin, or a session's token."""

    def __repr__(self) -> str:
        return "Keys(***)"


Ask = Callable[[], Finding | tuple[Finding, ...]]

EMBEDDING_PROBES = (
    (READY, probe_ready),
    (SHAPE, probe_shape),
    (BATCH, probe_batch),
    (MATRYOSHKA, probe_matryoshka),
    (LONG, probe_long),
    (MEANING, probe_meaning),
    (RETRIEVAL, probe_retrieval),
)


class Clients(NamedTuple):
    embeddings: EmbeddingsClient | None
    webui: WebUiClient | None
    chroma: ChromaClient | None


def run_verification(plan: Plan, addresses: Addresses, keys: Keys, progress: Progress) -> tuple[Finding, ...]:
    """Every probe that the stack's services allow. Call it under the stack's lock: see `traces`.

    Nothing is raised for a probe that fails; Ctrl-C passes through after the round trip's traces are removed.
    """
    desired = None
    if addresses.embeddings_from_webui:
        desired = desired_settings(plan, addresses.embeddings_from_webui, keys.embeddings)
    with ExitStack() as opened:
        clients = _clients(plan, addresses, keys, opened)
        found: list[Finding] = []
        for question, ask in _questions(plan, clients, desired, progress):
            progress.step(question.text)
            found.extend([question.skipped(_SILENT)] if _is_silent(found, question) else answered(question, ask))
        return tuple(found)


def answered(question: Question, ask: Ask) -> tuple[Finding, ...]:
    """The probe's findings; what it could not ask is a finding too."""
    try:
        found = ask()
    except OrchestratorError as error:
        return (question.not_answered(error),)
    return found if isinstance(found, tuple) else (found,)


def _questions(
    plan: Plan, clients: Clients, desired: Settings | None, progress: Progress
) -> Iterator[tuple[Question, Ask]]:
    embeddings, webui, chroma = clients
    if embeddings:
        yield from ((question, partial(probe, plan, embeddings)) for question, probe in EMBEDDING_PROBES)
    if chroma:
        yield HEALTH, partial(probe_chroma, chroma)
        yield DIMENSION, partial(probe_dimension, plan, webui, chroma)
    if webui and desired:
        yield PATH, partial(probe_path, webui, desired)
        yield EFFECTIVE, partial(probe_effective, webui, desired)
    if embeddings and webui and chroma:
        yield ROUND_TRIP, partial(probe_round_trip, plan, webui, chroma, embeddings, progress)


def _clients(plan: Plan, addresses: Addresses, keys: Keys, opened: ExitStack) -> Clients:
    embeddings = webui = chroma = None
    if addresses.embeddings:
        timeout_s = float(plan.retrieval.request_timeout_s)
        embeddings = opened.enter_context(
            closing(EmbeddingsClient(addresses.embeddings, keys.embeddings, plan.served_name, timeout_s))
        )
    if addresses.webui:
        webui = opened.enter_context(closing(WebUiClient(addresses.webui, token=keys.webui)))
    if addresses.vectors:
        chroma = opened.enter_context(closing(ChromaClient(addresses.vectors)))
    return Clients(embeddings, webui, chroma)


_SILENT = "the embedding server does not answer: see embed.ready"


def _is_silent(found: list[Finding], question: Question) -> bool:
    """Each further question would only wait for the same time-out."""
    needs_embedder = question.id.startswith("embed.") or question is ROUND_TRIP
    return needs_embedder and any(each.id.startswith("embed.") and each.verdict == "error" for each in found)
