"""The embedding server: ready, and its vectors right. Each question stands behind the ones that would explain it."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.doctor.checks.asked import Ask, asked, embeddings_of
from orchestrator.doctor.context import Context
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.embed_long import LONG, probe_long
from orchestrator.verify.embed_meaning import MEANING, probe_meaning
from orchestrator.verify.embed_retrieval import RETRIEVAL, probe_some_retrieval
from orchestrator.verify.embed_shape import BATCH, MATRYOSHKA, SHAPE, probe_batch, probe_matryoshka, probe_shape
from orchestrator.verify.stack import READY, probe_ready

LONG_S = 120.0
"""A text of the whole length through a slow CPU: 8,192 tokens at 100 tokens/s take 82 s (derived)."""
LONG_ANSWER_S = 110.0

Probe = Callable[[Plan, EmbeddingsClient], Finding]


def _by(probe: Probe, timeout_s: float | None = None) -> Ask:
    def ask(context: Context) -> Finding:
        with embeddings_of(context, timeout_s) as embeddings:
            return probe(context.planned, embeddings)

    return ask


EMBED_READY = asked(
    READY,
    _by(probe_ready),
    reads=("GET /v1/models", "GET /health", "Ollama: GET /api/ps, size_vram against size"),
    needs=("stack.health",),
)
EMBED_SHAPE = asked(
    SHAPE,
    _by(probe_shape),
    reads=("the vectors of eight texts: dimension, norm, every number finite",),
    needs=("embed.ready",),
)
EMBED_BATCH = asked(
    BATCH,
    _by(probe_batch),
    reads=("the vectors of eight texts, asked together and one by one",),
    needs=("embed.shape",),
)
EMBED_MATRYOSHKA = asked(
    MATRYOSHKA,
    _by(probe_matryoshka),
    reads=("vectors asked by a smaller size, against the beginning of the whole ones",),
    needs=("embed.batch",),
)
EMBED_LONG = asked(
    LONG,
    _by(probe_long, LONG_ANSWER_S),
    reads=("the vector of a text of exactly the planned length, and the answer to one token more",),
    needs=("embed.batch",),
    timeout_s=LONG_S,
)
EMBED_MEANING = asked(
    MEANING,
    _by(probe_meaning),
    reads=("vectors of known texts, against the model's published ones",),
    needs=("embed.batch",),
)
EMBED_RETRIEVAL = asked(
    RETRIEVAL,
    _by(probe_some_retrieval, LONG_ANSWER_S),
    reads=("questions and passages in English, and in four more languages where the model claims many",),
    needs=("embed.meaning",),
    timeout_s=LONG_S,
)
CHECKS = (EMBED_READY, EMBED_SHAPE, EMBED_BATCH, EMBED_MATRYOSHKA, EMBED_LONG, EMBED_MEANING, EMBED_RETRIEVAL)
