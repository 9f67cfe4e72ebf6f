"""Query and document prefix, proven by effect: Open WebUI takes them from its environment and no path shows them.

The stored vector of a chunk must be the one that the embedding server makes of `document prefix + chunk`, and the
score of a match must be the one that `query prefix + question` has to that vector. A prefix that is missing, doubled
or another one moves both; and which of these it is can be told by trying.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import Match
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.precision import Tolerance, tolerance_of
from orchestrator.verify.question import Question
from orchestrator.verify.vectors import Numbers, cosine

PREFIX = Question(id="e2e.prefix", text="Does Open WebUI put the planned prefixes before queries and documents, once?")

SAMPLES = 3
PLANNED = "as planned"


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    vector: tuple[float, ...]


def probe_prefixes(
    plan: Plan, question: str, matches: Sequence[Match], stored: Sequence[Stored], embeddings: EmbeddingsClient
) -> Finding:
    vectors = {each.text: each.vector for each in stored}
    known = [match for match in matches if match.document in vectors and match.score is not None][:SAMPLES]
    if not known:
        return PREFIX.skipped("no match whose stored vector could be read")
    chunks = [vectors[match.document] for match in known]
    # Newlines of a chunk become spaces on the way to the embedding server (facts 11), those of a query do not.
    texts = [match.document.replace("\n", " ") for match in known]
    documents = {
        name: min(map(cosine, embeddings.embed([prefix + text for text in texts]).vectors, chunks))
        for name, prefix in variants(plan.document_prefix).items()
    }
    prefixed = embeddings.embed([prefix + question for prefix in variants(plan.query_prefix).values()]).vectors
    scores = [match.score or 0.0 for match in known]
    queries = {
        name: max(abs(_score(query, chunk) - score) for chunk, score in zip(chunks, scores, strict=True))
        for name, query in zip(variants(plan.query_prefix), prefixed, strict=True)
    }
    return judged_prefixes(documents, queries, tolerance_of(plan.weights.dtype))


def judged_prefixes(documents: dict[str, float], queries: dict[str, float], tolerance: Tolerance) -> Finding:
    """`documents`: variant → lowest cosine to what is stored; `queries`: variant → largest deviation of a score.

    The planned variant must be near enough, and no other one nearer.
    """
    evidence = (
        f"documents, cosine to the stored vectors: {_shown(documents)} (floor {tolerance.repeat_floor}); "
        f"queries, deviation from the returned scores: {_shown(queries)} (at most {tolerance.repeat_score_deviation})"
    )
    document = max(documents, key=lambda name: documents[name])
    query = min(queries, key=lambda name: queries[name])
    wrong = []
    if document != PLANNED or not documents[document] >= tolerance.repeat_floor:
        wrong.append(f"document prefix: {_cause(document)}")
    if query != PLANNED or not queries[query] <= tolerance.repeat_score_deviation:
        wrong.append(f"query prefix: {_cause(query)}")
    if not wrong:
        return PREFIX.passed(evidence)
    return PREFIX.failed(
        evidence,
        "; ".join(wrong),
        "the prefixes come from Open WebUI's environment: start it again from the plan; documents that were stored "
        "with another prefix must be embedded again",
        "orchestrator up",
    )


def _cause(nearest_variant: str) -> str:
    return "another text than planned" if nearest_variant == PLANNED else nearest_variant


def _shown(variants_seen: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.6f}" for name, value in variants_seen.items())


def variants(prefix: str) -> dict[str, str]:
    """What can have gone wrong with a prefix. Without one, only a foreign one can."""
    return {PLANNED: prefix, "missing": "", "doubled": prefix + prefix} if prefix else {PLANNED: ""}


def _score(query: Numbers, chunk: Numbers) -> float:
    """Open WebUI's: 1 - cosine distance / 2 (facts 7.6)."""
    return (1 + cosine(query, chunk)) / 2
