"""Documents of an exact token count for a tokenizer that only the server has.

Words and phrases are measured one by one behind a space; every tokenizer in the catalogue splits at spaces, so their
counts add up. That they do is not believed: finished documents are counted before the run (`confirmed`), and every
answer's `usage` during it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from orchestrator.bench.documents import Composed, Listed, Recipe, as_json
from orchestrator.bench.pieces import first, phrases, words
from orchestrator.errors import OrchestratorError, usage_error

Count = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text, special ones included, as the server counts them."""
Unlike = Callable[[Sequence[str]], Sequence[str]]
"""Those of the texts that the model tells apart: without case and accents, or with one token for every unknown word,
different words can be the same to it, and documents that differ only there would rightly get the same vector."""

ANCHOR = "and"
"""Pieces are measured behind this word. Any word does; this one is a token of its own nearly everywhere."""
BEGINNINGS = 4096
"""Of each kind at the most: 16.8 million documents a length. More would cost memory, not time."""
BODIES = 256
CONFIRMED = 4
"""Documents counted per length before the run; the run itself counts all."""
LONGEST_FILE_BYTES = 32 * 1024 * 1024


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """How many pieces are measured: each is a call."""

    starters: int
    words: int
    phrases: int


BY_TOKENIZER = Sample(starters=48, words=96, phrases=96)
BY_EMBEDDING = Sample(starters=24, words=48, phrases=32)
"""Where only `usage` tells, a piece costs an embedding (about 10 ms, estimate)."""


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """Measured pieces. Counts are those of the piece alone."""

    special: int
    starters: dict[str, int]
    """At the beginning of a text, where a tokenizer may count differently than behind a space."""
    units: tuple[str, ...]
    """Words of exactly one token."""
    phrases: dict[str, int]


def measure(count: Count, unlike: Unlike, sample: Sample) -> Vocabulary:
    chosen = tuple(unlike(first(words(), sample.words)))
    runs = first(phrases(), sample.phrases)
    starters = chosen[: sample.starters]
    asked = [ANCHOR, f"{ANCHOR} {ANCHOR}", *starters, *(f"{ANCHOR} {piece}" for piece in (*chosen, *runs))]
    anchor, doubled, *rest = count(asked)
    special = 2 * anchor - doubled
    at_start, behind = rest[: len(starters)], [tokens - anchor for tokens in rest[len(starters) :]]
    return Vocabulary(
        special=special,
        starters={word: tokens - special for word, tokens in zip(starters, at_start, strict=True)},
        units=tuple(word for word, tokens in zip(chosen, behind, strict=False) if tokens == 1),
        phrases={run: tokens for run, tokens in zip(runs, behind[len(chosen) :], strict=True) if tokens > 0},
    )


def plain(vocabulary: Vocabulary) -> Vocabulary:
    """Whole words of one token only: for a tokenizer in which the counts of phrases do not add up."""
    return msgspec.structs.replace(vocabulary, phrases={})


def compose(vocabulary: Vocabulary, lengths: Sequence[int], seed: int) -> Composed:
    chance = random.Random(seed)  # noqa: S311 - texts, not secrets
    return Composed(recipes=tuple(_recipe(vocabulary, length, chance) for length in lengths))


def confirmed(documents: Composed, count: Count) -> str | None:
    """None when documents picked from each length have the tokens they were made to have; else what differs."""
    from orchestrator.bench.documents import as_text

    for recipe in documents.recipes:
        step = max(recipe.capacity // CONFIRMED, 1)
        texts = [as_text(recipe.document(i * step)) for i in range(min(CONFIRMED, recipe.capacity))]
        for text, tokens in zip(texts, count(texts), strict=True):
            if tokens != recipe.tokens:
                return f"a document made of {recipe.tokens} tokens has {tokens}: {text[:80]!r}"
    return None


def listed(texts: Sequence[str], count: Count) -> Listed:
    return Listed(texts=tuple(as_json(text) for text in texts), tokens=tuple(count(texts)))


def texts_of(content: str, origin: str) -> tuple[str, ...]:
    """One document a line; a line that is a JSON object gives its `text`. Doubles are dropped."""
    texts = tuple(dict.fromkeys(_text_of(line) for line in content.splitlines() if line.strip()))
    if len(texts) < 2:
        raise usage_error("--texts", origin, "has fewer than two different lines", "give one document a line")
    return texts


def _text_of(line: str) -> str:
    if line.lstrip().startswith("{"):
        try:
            found = msgspec.json.decode(line)
        except msgspec.DecodeError:
            return line.strip()
        if isinstance(found, dict) and isinstance(found.get("text"), str):
            return str(found["text"])
    return line.strip()


def _recipe(vocabulary: Vocabulary, length: int, chance: random.Random) -> Recipe:
    size, starters = _largest_class(vocabulary)
    room = length - vocabulary.special - size
    if room < 0 or not starters:
        raise usage_error(
            "--tokens",
            length,
            f"the shortest document of this tokenizer has {vocabulary.special + size} tokens",
            f"--tokens {vocabulary.special + size + 4}",
        )
    if room > 0 and not vocabulary.units:
        raise OrchestratorError(
            "no_exact_length",
            "none of our words is one token of this model, so documents of an exact length cannot be made",
            remedy="measure with texts of your own: --texts FILE, one document a line",
        )
    ahead = min(room, 3)
    firsts = _combined(starters, vocabulary.units, min(ahead, 1), chance)
    seconds = _combined([""], vocabulary.units, max(ahead - 1, 0), chance)
    bodies = [_body(vocabulary, room - ahead, chance) for _ in range(BODIES if room > ahead else 1)]
    return Recipe(tokens=length, firsts=_json(firsts), seconds=_json(seconds), bodies=_json(bodies))


def _largest_class(vocabulary: Vocabulary) -> tuple[int, list[str]]:
    """All beginnings must count the same; one token where there are enough such words."""
    sizes = Counter(tokens for tokens in vocabulary.starters.values() if tokens > 0)
    if not sizes:
        return 1, []
    size = 1 if sizes[1] >= 4 else sizes.most_common(1)[0][0]
    return size, [word for word, tokens in vocabulary.starters.items() if tokens == size]


def _combined(heads: Sequence[str], units: Sequence[str], more: int, chance: random.Random) -> list[str]:
    made = list(heads)
    for _ in range(more):
        made = [f"{head} {unit}" for head in made for unit in units]
    chance.shuffle(made)
    return made[:BEGINNINGS]


def _body(vocabulary: Vocabulary, tokens: int, chance: random.Random) -> str:
    parts: list[str] = []
    pieces = list(vocabulary.phrases.items())
    while tokens > 0:
        piece, size = chance.choice(pieces) if pieces else ("", tokens + 1)
        if size > tokens:
            piece, size = chance.choice(vocabulary.units), 1
        parts.append(piece)
        tokens -= size
    return "".join(f" {part}" for part in parts)


def _json(texts: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(as_json(text) for text in texts)
