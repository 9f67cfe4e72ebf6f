"""Does the vector mean what the model means? One probe against wrong pooling, a missing EOS, a missing or doubled
instruction and a bad quantisation: all of these leave the shape intact."""

from __future__ import annotations

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.precision import tolerance_of
from orchestrator.verify.question import Question
from orchestrator.verify.references import CardSimilarities, ReferenceVectors, card_similarities, reference_vectors
from orchestrator.verify.vectors import cosine

MEANING = Question(id="embed.meaning", text="Are these the vectors that this model makes?")

CAUSES = (
    "wrong pooling, a missing end token, an instruction that is missing or doubled, damaged or too coarsely "
    "quantised weights, or another model"
)

SAME_MEANING = (
    ("The shop opens at nine in the morning.", "In the morning the store opens its doors at nine o'clock."),
    ("Heavy rain flooded the cellar of the school.", "The basement of the school was under water after the downpour."),
    ("My brother repairs old radios.", "Fixing antique radio sets is what my brother does."),
)
"""Pairs that say the same; any two of different pairs have nothing to do with each other."""


def probe_meaning(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    card = card_similarities(plan.card.id)
    if card is not None and plan.dimension == plan.card.dim:
        return _against_card(card, plan, embeddings)
    vectors = reference_vectors(plan.card.id)
    if vectors is not None and plan.dimension == plan.card.dim:
        return _against_vectors(vectors, plan, embeddings)
    return _against_common_sense(plan, embeddings)


def _against_card(card: CardSimilarities, plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    tolerance = tolerance_of(plan.weights.dtype)
    vectors = embeddings.embed([*card.queries, *card.documents]).vectors
    queries, documents = vectors[: len(card.queries)], vectors[len(card.queries) :]
    measured = [[cosine(query, document) for document in documents] for query in queries]
    worst = max(
        abs(got - want)
        for row, wanted in zip(measured, card.similarities, strict=True)
        for got, want in zip(row, wanted, strict=True)
    )
    shown = [[round(value, 4) for value in row] for row in measured]
    evidence = (
        f"similarities {shown}, published {[list(row) for row in card.similarities]}; largest deviation {worst:.4f}, "
        f"allowed {tolerance.similarity_deviation} for {plan.weights.dtype} ({tolerance.source}); {card.source}"
    )
    if worst <= tolerance.similarity_deviation:
        return MEANING.passed(evidence)
    return MEANING.failed(evidence, CAUSES, "start the server that the plan describes", "orchestrator up")


def _against_vectors(reference: ReferenceVectors, plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    tolerance = tolerance_of(plan.weights.dtype)
    vectors = embeddings.embed(reference.texts).vectors
    cosines = [cosine(got, want) for got, want in zip(vectors, reference.vectors, strict=True)]
    worst = min(range(len(cosines)), key=lambda i: cosines[i])
    evidence = (
        f"lowest cosine {cosines[worst]:.6f} of {len(cosines)} texts (at {reference.texts[worst][:40]!r}), floor "
        f"{tolerance.cosine_floor} for {plan.weights.dtype} ({tolerance.source}); reference: {reference.source}"
    )
    if all(value >= tolerance.cosine_floor for value in cosines):
        return MEANING.passed(evidence)
    return MEANING.failed(evidence, CAUSES, "start the server that the plan describes", "orchestrator up")


def _against_common_sense(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    """For a model whose vectors nobody published: sentences of the same meaning stand nearer than unrelated ones.
    Catches collapsed vectors and a wrong tokenizer, not a subtle loss."""
    vectors = embeddings.embed([text for pair in SAME_MEANING for text in pair]).vectors
    alike = [cosine(vectors[i], vectors[i + 1]) for i in range(0, len(vectors), 2)]
    unlike = [
        cosine(vectors[i], vectors[j])
        for i in range(len(vectors))
        for j in range(i + 1, len(vectors))
        if i // 2 != j // 2
    ]
    evidence = (
        f"same meaning {min(alike):.3f} to {max(alike):.3f}, unrelated {min(unlike):.3f} to {max(unlike):.3f}; "
        f"no reference vectors are known for {plan.model} at dimension {plan.dimension}, so only common sense was asked"
    )
    if min(alike) > max(unlike):
        return MEANING.passed(evidence, "a weak test: no published reference for this model")
    return MEANING.failed(evidence, CAUSES, "check the model's pooling and tokenizer files")
