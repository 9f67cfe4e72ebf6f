"""An input at the limit is embedded whole; one beyond it is refused. Never cut in silence."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.http import Answer
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.result import Finding
from orchestrator.verify.question import Question
from orchestrator.verify.vectors import cosine

LONG = Question(id="embed.long", text="Is an input at the limit embedded whole, and one beyond it refused?")

# Words that are one token each in the vocabularies of BERT, XLM-R, Qwen and Gemma, so that a count can be hit exactly.
HEAD = ("the", "old", "house", "by", "the", "river", "was", "sold", "to", "a", "young", "man", "from", "the", "north")
TAIL_A = ("and", "the", "ship", "went", "down", "in", "cold", "water")
TAIL_B = ("so", "my", "mother", "made", "hot", "soup", "for", "lunch")
TAIL_SHARE = 8
"""The last eighth of the text differs between the two: who cuts more than that gives them one vector."""
SAME = 1 - 1e-6
ROUNDS = 6
PINNED = "run the pinned version of the embedding server"

Count = Callable[[int], int]


def words(count: int, tail: tuple[str, ...] = TAIL_A) -> str:
    """A text of so many ordinary words, whose last eighth is made of `tail`."""
    tail_count = count // TAIL_SHARE
    text = [HEAD[i % len(HEAD)] for i in range(count - tail_count)]
    return " ".join(text + [tail[i % len(tail)] for i in range(tail_count)])


def words_for(tokens: int, count: Count) -> int | None:
    """How many words make exactly so many tokens, by the server's own count; None where no number does."""
    guess = tokens - count(1) + 1
    for _ in range(ROUNDS):
        off = count(guess) - tokens
        if off == 0:
            return guess
        guess -= off
        if guess < 1:
            return None
    return None


def probe_long(plan: Plan, embeddings: EmbeddingsClient) -> Finding:
    """Two independent witnesses that nothing was cut: the tokens that the server says it read, and that two texts
    which differ only at the end have different vectors."""
    limit = plan.max_length
    size = words_for(limit, _counter(embeddings))
    if size is None:
        reason = "the server's token counts are not plausible"
        return LONG.failed(f"no text of exactly {limit} tokens found", reason, PINNED, "orchestrator up")
    answer = embeddings.ask_embed([words(size)])
    if not answer.ok:
        return LONG.failed(
            f"{limit} tokens: {answer.status} {answer.message}",
            "an input of the promised length is refused",
            "the server runs with a smaller context or batch than the plan",
            "orchestrator up",
        )
    whole = embeddings.read(answer, 1)
    if whole.tokens is not None and whole.tokens != limit:
        return _cut_finding(f"{limit} tokens sent, {whole.tokens} read")
    same = cosine(whole.vectors[0], embeddings.embed([words(size, TAIL_B)]).vectors[0])
    if same >= SAME:
        return _cut_finding(f"{limit} tokens, the last {limit // TAIL_SHARE} different: cosine {same:.7f}")
    text = words(size + 1)
    # Ollama's OpenAI path always cuts; its derived model holds the planned length, and clients send truncate: false.
    beyond = embeddings.ask_ollama_uncut(text) if plan.backend == "ollama" else embeddings.ask_embed([text])
    return _judged_beyond(limit, same, beyond, embeddings)


def _judged_beyond(limit: int, same: float, beyond: Answer, embeddings: EmbeddingsClient) -> Finding:
    evidence = f"{limit} tokens read whole (another ending: cosine {same:.4f}); {limit + 1}: {beyond.status}"
    if beyond.ok:
        usage = beyond.body.get("usage", {}).get("prompt_tokens", beyond.body.get("prompt_eval_count"))
        return _cut_finding(f"{limit + 1} tokens sent, answered 200, {usage} read")
    try:
        embeddings.embed([words(3)])
    except OrchestratorError as error:
        reason = f"the refusal of a long input took the server down: {error.message}"
        return LONG.failed(evidence, reason, PINNED, "orchestrator logs embeddings")
    return LONG.passed(f"{evidence} {beyond.message[:160]}")


def _counter(embeddings: EmbeddingsClient) -> Count:
    """The server's tokenizer, or (Ollama has none) the usage of a real embedding."""

    def count(size: int) -> int:
        text = words(size)
        tokens = embeddings.count_tokens(text)
        if tokens is None:
            tokens = embeddings.embed([text]).tokens
        if tokens is None:
            raise OrchestratorError(
                "no_token_count", "the embedding server tells no token counts", remedy=PINNED, evidence="no usage"
            )
        return tokens

    return count


def _cut_finding(evidence: str) -> Finding:
    return LONG.failed(
        evidence,
        "a long document is cut without a word, and its end can never be found",
        "the server's context and batch must hold the planned length, and truncation must be off",
        "orchestrator up",
    )
