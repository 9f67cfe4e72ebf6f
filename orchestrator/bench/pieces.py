"""The words and phrases that documents are made of: the project's own texts in sixteen languages, cut up. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest

from orchestrator.verify.embed_retrieval import Parallel, parallel_texts

WORD = re.compile(r"[^\W\d_]{2,9}")
PHRASE_WORDS = 4
UNSPACED_CHARACTERS = 12
"""Chinese and Japanese have no spaces: a phrase is so long at the most."""
UNSPACED = ("zh", "ja")


def words() -> Iterator[str]:
    """Single words, no two alike: English ones by turns with all others, since English ones are whole everywhere."""
    texts = parallel_texts()
    spaced = [_words(each) for code, each in texts.items() if code not in UNSPACED and code != "en"]
    return _unlike(_in_turns([_words(texts["en"]), _in_turns(spaced)]))


def phrases() -> Iterator[str]:
    """Runs of words, the languages by turns, no two alike."""
    cut = [_clauses(each) if code in UNSPACED else _runs(each) for code, each in parallel_texts().items()]
    return _unlike(_in_turns(cut))


def _sentences(texts: Parallel) -> tuple[str, ...]:
    return (*texts.passages, *texts.queries)


def _words(texts: Parallel) -> Iterator[str]:
    return (word for sentence in _sentences(texts) for word in sentence.split() if WORD.fullmatch(word))


def _runs(texts: Parallel) -> Iterator[str]:
    for sentence in _sentences(texts):
        parts = sentence.split()
        for start in range(0, len(parts) - PHRASE_WORDS + 1, PHRASE_WORDS):
            yield " ".join(parts[start : start + PHRASE_WORDS])


def _clauses(texts: Parallel) -> Iterator[str]:
    for sentence in _sentences(texts):
        for clause in re.split(r"[\s、。，；？,;?]+", sentence):
            if len(clause) > 1:
                yield clause[:UNSPACED_CHARACTERS]


def _in_turns(parts: Iterable[Iterable[str]]) -> Iterator[str]:
    return (each for each in chain.from_iterable(zip_longest(*parts)) if each is not None)


def _unlike(parts: Iterable[str]) -> Iterator[str]:
    return iter(dict.fromkeys(parts))


def first(parts: Iterator[str], count: int) -> tuple[str, ...]:
    return tuple(islice(parts, count))
