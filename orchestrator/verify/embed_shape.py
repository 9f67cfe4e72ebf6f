"""Are the vectors vectors: size, finite, unit length; the same alone and in a batch; cut where the model allows it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.catalog.models import Matryoshka
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.precision import tolerance_of
from orchestrator.verify.question import Question
from orchestrator.verify.vectors import Numbers, cosine, is_finite, nearest, norm

SHAPE = Question(id="embed.shape", text="Are the vectors of the planned size, finite and of unit length?")
BATCH = Question(id="embed.batch", text="Does a batch give the same vectors in the same order as one by one?")
MATRYOSHKA = Question(id="embed.matryoshka", text="Are shortened vectors the beginning of the whole ones?")

NORM_TOLERANCE = 1e-3
"""bf16 normalisation stays below it (estimate; float32 measured 1e-7)."""
SHORTENED_FLOOR = 0.999
"""Cosine of a shortened vector to the cut and normalised whole one (estimate: 16-bit rounding only)."""

TEXTS = (
    "The train to the coast leaves at seven in the morning.",
    "import os and then read the first line of the file",  # 8B in fp16 gives NaN on such beginnings (models 2)
    "Rain.",
    "A long letter arrived on Monday. It told of a journey through three countries, of the people met on the way, "
    "of a lost suitcase and of the ferry that would not leave because of the storm.",
    "Der Bäcker öffnet um sechs Uhr und verkauft zuerst die dunklen Brote.",
    "図書館は月曜日に休みです。",
    "Prices rose by 3.5 % last year.",
    "Which of the two roads is shorter in winter?",
)


def probe_shape(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    vectors = embeddings.embed(TEXTS).vectors
    sizes = sorted({len(vector) for vector in vectors})
    broken = [TEXTS[i] for i, vector in enumerate(vectors) if not is_finite(vector)]
    if broken:
        return SHAPE.failed(
            f"NaN or infinite values for {broken[0][:60]!r} ({len(broken)} of {len(vectors)} texts)",
            f"{plan.weights.dtype} overflows in this model",
            "compute in bfloat16, or in float32 where the card has no bfloat16",
            "orchestrator up --dtype bfloat16",
        )
    norms = [norm(vector) for vector in vectors]
    evidence = f"dimension {sizes}, norm {min(norms):.4f} to {max(norms):.4f}, {len(vectors)} texts"
    if sizes != [plan.dimension]:
        return SHAPE.failed(
            evidence,
            f"the plan stores vectors of {plan.dimension}",
            "another model answers, or it does not pool: start the server that the plan describes",
            "orchestrator up",
        )
    if any(abs(length - 1) > NORM_TOLERANCE for length in norms):
        return SHAPE.failed(
            evidence,
            f"a norm is off 1 by more than {NORM_TOLERANCE}",
            "the server does not normalise: vLLM needs --runner pooling, llama.cpp the /v1/embeddings of llama-server",
        )
    return SHAPE.passed(evidence)


def probe_batch(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    alone = [embeddings.embed([text]).vectors[0] for text in TEXTS]
    together = embeddings.embed(TEXTS).vectors
    misplaced = [i for i, vector in enumerate(together) if nearest(vector, alone) != i]
    if misplaced:
        return BATCH.failed(
            f"vector {misplaced[0]} of the batch is that of text {nearest(together[misplaced[0]], alone)}",
            "the answers of a batch are out of order, so texts are stored under foreign vectors",
            "use the pinned version of the embedding server",
            "orchestrator up",
        )
    floor = tolerance_of(plan.weights.dtype).repeat_floor
    worst = min(cosine(one, other) for one, other in zip(alone, together, strict=True))
    evidence = f"lowest cosine {worst:.6f} over {len(TEXTS)} texts, floor {floor}"
    if not worst >= floor:
        return BATCH.failed(
            evidence, "a text's vector depends on its neighbours in the batch", "report it with the server's version"
        )
    return BATCH.passed(evidence)


def probe_matryoshka(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    """What shortening is worth: asked by size, the answer must be the beginning of the whole vector, normalised."""
    if plan.card.mrl is None:
        return MATRYOSHKA.skipped(f"{plan.model} was not trained for shortened vectors")
    if plan.backend == "llamacpp":
        return MATRYOSHKA.skipped("llama-server ignores `dimensions` (facts 2.4); the whole vector is stored")
    sizes = shorter_sizes(plan.card.mrl, plan.dimension)
    if not sizes:
        return MATRYOSHKA.skipped(f"the model has no size below {plan.dimension}")
    whole = embeddings.embed(TEXTS).vectors
    worst = 1.0
    for size in sizes:
        answer = embeddings.ask_embed(TEXTS, dimensions=size)
        fault = f"{answer.status} {answer.message}"
        if answer.ok:
            cut = embeddings.read(answer, len(TEXTS)).vectors
            fault = _fault_of(cut, size)
            worst = min(worst, *(cosine(short, full[:size]) for short, full in zip(cut, whole, strict=True)))
        if fault:
            reason = "the server does not shorten as the model was trained"
            remedy = "vLLM needs --hf-overrides with is_matryoshka"
            return MATRYOSHKA.failed(f"dimensions={size}: {fault}", reason, remedy, "orchestrator up")
    evidence = f"dimensions {list(sizes)}: lowest cosine to the cut vector {worst:.6f}, floor {SHORTENED_FLOOR}"
    if worst >= SHORTENED_FLOOR:
        return MATRYOSHKA.passed(evidence)
    reason = "shortened vectors are not the beginning of the whole ones"
    return MATRYOSHKA.failed(evidence, reason, "use the pinned version of the embedding server", "orchestrator up")


def _fault_of(cut: Sequence[Numbers], size: int) -> str:
    sizes = sorted({len(vector) for vector in cut})
    if sizes != [size]:
        return f"vectors of {sizes}"
    norms = [norm(vector) for vector in cut]
    return "" if all(abs(length - 1) <= NORM_TOLERANCE for length in norms) else f"norm {min(norms):.4f}"


def shorter_sizes(mrl: Matryoshka, dimension: int) -> Sequence[int]:
    """The smallest and one in the middle, below the whole size."""
    if mrl.dims:
        below = sorted(size for size in mrl.dims if size < dimension)
        return tuple(dict.fromkeys((below[0], below[len(below) // 2]))) if below else ()
    smallest = mrl.min or 1
    middle = 1 << max((dimension - 1).bit_length() - 1, 0)
    return tuple(size for size in dict.fromkeys((smallest, middle)) if smallest <= size < dimension)
