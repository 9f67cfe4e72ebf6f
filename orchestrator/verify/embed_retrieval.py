"""Eight everyday topics in sixteen languages: does a question find its passage, in its own language and across?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from statistics import fmean

import msgspec

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.question import Question
from orchestrator.verify.vectors import Numbers, dot

RETRIEVAL = Question(id="embed.retrieval", text="Does a question find the passage that answers it?")

MULTILINGUAL_FLOOR = 0.85
"""Mean recall@1 over all language pairs, for a model that claims many languages (an estimate: chance is 0.125, and the
English-only all-MiniLM-L6-v2 reaches 0.37, measured)."""
MULTILINGUAL_LANGUAGE_FLOOR = 0.5
"""Recall@1 of the worst language as the language of the passages (estimate)."""
ENGLISH_FLOOR = 0.875
"""Seven of eight: all-MiniLM-L6-v2 finds eight (measured)."""
BATCH = 32
ENGLISH = ("en",)
SAMPLE = ("en", "es", "ru", "ar", "zh")
"""Five scripts and families."""


class Parallel(msgspec.Struct, frozen=True, kw_only=True):
    """The same passages and questions in one language, in the order of the topics."""

    passages: tuple[str, ...]
    queries: tuple[str, ...]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Questions in one language against the passages of one language."""

    asked_in: str
    answered_in: str
    recall_at_1: float
    mrr: float


@cache
def parallel_texts() -> dict[str, Parallel]:
    import yaml

    raw = yaml.safe_load((files("orchestrator.verify") / "data" / "passages.yaml").read_text(encoding="utf-8"))
    return {code: msgspec.convert(texts, Parallel) for code, texts in raw["languages"].items()}


def probe_retrieval(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    return retrieval_in(tuple(parallel_texts()), plan, embeddings)


def probe_some_retrieval(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    """What is judged, or for a model of many languages a sample of it: all of them take 5 s on two cores (measured)."""
    return retrieval_in(SAMPLE if plan.card.multilingual else ENGLISH, plan, embeddings)


def retrieval_in(languages: tuple[str, ...], plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    texts = {code: parallel_texts()[code] for code in languages}
    queries = _embedded([plan.query_prefix + text for each in texts.values() for text in each.queries], embeddings)
    passages = _embedded([plan.document_prefix + text for each in texts.values() for text in each.passages], embeddings)
    scores = tuple(
        score(asked_in, answered_in, _part(queries, i), _part(passages, j))
        for i, asked_in in enumerate(texts)
        for j, answered_in in enumerate(texts)
        if (asked_in, answered_in) in language_pairs(languages)
    )
    return judged(scores, plan.card.multilingual)


def language_pairs(languages: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """Each language with itself, from English, into English, and into its neighbour in the list: every language is
    asked in and answered in, and no pair needs English. All 256 pairs would say no more."""
    after = (*languages[1:], languages[0])
    same = zip(languages, languages, strict=True)
    to_english = ((language, "en") for language in languages)
    from_english = (("en", language) for language in languages)
    return frozenset([*same, *to_english, *from_english, *zip(languages, after, strict=True)])


def score(asked_in: str, answered_in: str, queries: Sequence[Numbers], passages: Sequence[Numbers]) -> Score:
    """Question i is answered by passage i."""
    ranks = [_rank(query, passages, i) for i, query in enumerate(queries)]
    return Score(
        asked_in=asked_in,
        answered_in=answered_in,
        recall_at_1=fmean(rank == 1 for rank in ranks),
        mrr=fmean(1 / rank for rank in ranks),
    )


def judged(scores: tuple[Score, ...], multilingual: bool) -> Finding:
    english = next(each for each in scores if each.asked_in == each.answered_in == "en")
    own = [each for each in scores if each.asked_in == each.answered_in]
    across = [each for each in scores if each.asked_in != each.answered_in]
    worst_language, worst = _worst(scores)
    evidence = (
        f"recall@1 / MRR: English {english.recall_at_1:.3f} / {english.mrr:.3f}; "
        f"each of {len(own)} languages within itself {_mean(own)}; across languages ({len(across)} pairs) "
        f"{_mean(across)}; worst answered in {worst_language} {worst:.3f}"
    )
    if not multilingual:
        if english.recall_at_1 >= ENGLISH_FLOOR:
            reason = "the model claims English only: the other languages are reported, not judged"
            return RETRIEVAL.passed(f"{evidence}; floor {ENGLISH_FLOOR} for English", reason)
        return RETRIEVAL.failed(evidence, f"English recall@1 is below {ENGLISH_FLOOR}", *_REMEDY)
    overall = fmean(each.recall_at_1 for each in scores)
    evidence = f"{evidence}; overall {overall:.3f}, floor {MULTILINGUAL_FLOOR} (estimate)"
    if overall < MULTILINGUAL_FLOOR:
        return RETRIEVAL.failed(evidence, f"recall@1 over all pairs is below {MULTILINGUAL_FLOOR}", *_REMEDY)
    if worst < MULTILINGUAL_LANGUAGE_FLOOR:
        reason = f"passages in {worst_language} are hardly found"
        return RETRIEVAL.warned(evidence, reason, "a larger model of the family knows more languages")
    return RETRIEVAL.passed(evidence)


_REMEDY = (
    "see embed.meaning first: wrong vectors find nothing. With right vectors, the query prefix is not the model's",
    "orchestrator verify",
)


def _worst(scores: tuple[Score, ...]) -> tuple[str, float]:
    languages = {each.answered_in for each in scores}
    means = {code: fmean(each.recall_at_1 for each in scores if each.answered_in == code) for code in languages}
    code = min(sorted(means), key=lambda name: means[name])
    return code, means[code]


def _mean(scores: Sequence[Score]) -> str:
    if not scores:
        return "not asked"
    return f"{fmean(each.recall_at_1 for each in scores):.3f} / {fmean(each.mrr for each in scores):.3f}"


def _rank(query: Numbers, passages: Sequence[Numbers], right: int) -> int:
    """1 is best; equal scores count against us, so that vectors which are all the same find nothing."""
    wanted = dot(query, passages[right])
    return 1 + sum(dot(query, passage) >= wanted for i, passage in enumerate(passages) if i != right)


def _embedded(texts: list[str], embeddings: EmbeddingsClient) -> list[Numbers]:
    vectors: list[Numbers] = []
    for start in range(0, len(texts), BATCH):
        vectors.extend(embeddings.embed(texts[start : start + BATCH]).vectors)
    return vectors


def _part(vectors: list[Numbers], index: int) -> list[Numbers]:
    size = len(next(iter(parallel_texts().values())).queries)
    return vectors[index * size : (index + 1) * size]
