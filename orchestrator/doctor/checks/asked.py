"""The probes of `verify` as checks: one definition of each question, asked by both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.doctor.check import Answer, Check, Fix
from orchestrator.doctor.context import Context
from orchestrator.errors import OrchestratorError
from orchestrator.result import Finding, Remedy
from orchestrator.verify.question import Question

CHECK_S = 30.0
"""For a few short texts: a CPU with a 600-million model takes some seconds (estimate)."""
ANSWER_S = 20.0
"""For one answer of a service. Below the check's own limit, so that silence is told as what it is, with its address."""

Ask = Callable[[Context], Finding]


def asked(
    question: Question,
    ask: Ask,
    *,
    reads: tuple[str, ...],
    needs: tuple[str, ...],
    timeout_s: float = CHECK_S,
    fix: Fix | None = None,
) -> Check:
    return Check(
        id=question.id,
        area="stack",
        question=question.text,
        reads=reads,
        needs=needs,
        severity="fail",
        stage="stack",
        timeout_s=timeout_s,
        fix=fix,
        answer=lambda context: answered(ask, context),
    )


def answered(ask: Ask, context: Context) -> Answer:
    """What a service refuses, or does not answer, is its fault and not the check's: a failure, never an `error`."""
    try:
        found = ask(context)
    except OrchestratorError as error:
        remedy = Remedy(text=error.remedy) if error.remedy else Remedy(commands=(context.command("logs"),))
        return Answer(verdict="bad", evidence=error.evidence or error.code, reason=error.message, remedy=remedy)
    if found.verdict in ("pass", "warn", "skip"):
        return Answer(verdict=found.verdict, evidence=found.evidence, reason=found.reason, remedy=found.remedy)
    return Answer(verdict="bad", evidence=found.evidence, reason=found.reason, remedy=found.remedy)


@contextmanager
def embeddings_of(context: Context, timeout_s: float | None = None) -> Iterator[EmbeddingsClient]:
    stack, timeout_s = context.existing, ANSWER_S if timeout_s is None else timeout_s
    url, key = _known(stack.addresses.embeddings), stack.keys().embeddings
    with closing(EmbeddingsClient(url, key, context.planned.served_name, timeout_s)) as client:
        yield client


@contextmanager
def webui_of(context: Context) -> Iterator[WebUiClient]:
    stack = context.existing
    with closing(WebUiClient(_known(stack.addresses.webui), ANSWER_S, token=stack.keys().webui)) as client:
        yield client


@contextmanager
def chroma_of(context: Context) -> Iterator[ChromaClient]:
    with closing(ChromaClient(_known(context.existing.addresses.vectors), ANSWER_S)) as client:
        yield client


def _known(address: str | None) -> str:
    if address is None:
        raise OrchestratorError("no_such_service", "the plan has no such service")
    return address
