"""Documents of an exact length, made for tokenizers that differ in what they do at a beginning and inside a word."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bench.documents import Composed, as_text
from orchestrator.bench.lengths import lengths_of
from orchestrator.bench.workload import (
    BY_EMBEDDING,
    BY_TOKENIZER,
    Count,
    Sample,
    Vocabulary,
    compose,
    confirmed,
    listed,
    measure,
    plain,
    texts_of,
)
from orchestrator.errors import OrchestratorError


def of_words(text: str) -> int:
    """BERT-like: two special tokens, long words in parts of four letters."""
    return 2 + sum(-(-len(word) // 4) for word in text.split())


def of_bytes_behind_spaces(text: str) -> int:
    """GPT-like: a word at the beginning, without its space, costs one more; one special token at the end."""
    return 1 + 1 + sum(-(-len(word.encode()) // 5) for word in text.split())


def counting(tokenizer: object) -> Count:
    return lambda texts: [tokenizer(text) for text in texts]  # type: ignore[operator]


def all_of(texts: Sequence[str]) -> Sequence[str]:
    return texts


def vocabulary_of(tokenizer: object, sample: Sample = BY_TOKENIZER) -> Vocabulary:
    return measure(counting(tokenizer), all_of, sample)


@pytest.mark.parametrize("tokenizer", [of_words, of_bytes_behind_spaces])
@pytest.mark.parametrize("sample", [BY_TOKENIZER, BY_EMBEDDING])
@pytest.mark.parametrize("length", [8, 32, 255, 1024])
def test_every_document_has_exactly_the_tokens_asked_for(tokenizer: object, sample: Sample, length: int) -> None:
    documents = compose(vocabulary_of(tokenizer, sample), (length,), seed=5)
    assert confirmed(documents, counting(tokenizer)) is None
    texts, tokens = documents.batch(1000, 64)
    assert [counting(tokenizer)([as_text(text)])[0] for text in texts] == [length] * 64
    assert tokens == 64 * length


@settings(deadline=None, max_examples=30)
@given(length=st.integers(5, 400), start=st.integers(0, 10**9), seed=st.integers(0, 10**6))
def test_any_length_from_any_place(length: int, start: int, seed: int) -> None:
    texts, _ = compose(VOCABULARY, (length,), seed).batch(start, 16)
    assert {of_words(as_text(text)) for text in texts} == {length}


VOCABULARY = vocabulary_of(of_words)


def test_no_two_documents_are_alike_and_none_begin_alike() -> None:
    documents = compose(VOCABULARY, (64,), seed=1)
    texts, _ = documents.batch(0, 100_000)
    assert len(set(texts)) == 100_000
    beginnings = {b" ".join(text.split(b" ")[:4]) for text in texts}
    assert len(beginnings) == 100_000
    assert documents.capacity > 1_000_000


def test_other_seeds_make_other_documents() -> None:
    one, other = (set(compose(VOCABULARY, (64,), seed).batch(0, 1000)[0]) for seed in (1, 2))
    assert not one & other


def test_the_texts_are_in_several_scripts() -> None:
    texts = "".join(as_text(text) for text in compose(VOCABULARY, (64,), seed=1).batch(0, 200)[0])
    scripts = {unicodedata.name(letter).split()[0] for letter in texts if letter.isalpha()}
    assert scripts >= {"LATIN", "CYRILLIC", "DEVANAGARI", "HIRAGANA", "ARABIC", "HANGUL", "CJK"}


def test_mixed_lengths_take_turns_and_are_counted() -> None:
    documents = compose(VOCABULARY, lengths_of("mixed"), seed=1)
    texts, tokens = documents.batch(3, 10)
    assert [of_words(as_text(text)) for text in texts] == [128, 256, 16, 32, 64, 128, 256, 16, 32, 64]
    assert tokens == 992
    assert documents.mean_tokens == pytest.approx(99.2)


def test_a_tokenizer_whose_counts_do_not_add_up_is_found_out_before_the_run() -> None:
    def merging(text: str) -> int:
        return 2 + len(text.split()) - text.count(" ") // 8

    found = confirmed(compose(vocabulary_of(merging), (64,), seed=1), counting(merging))
    assert found is not None
    assert "made of 64 tokens has 5" in found


def test_words_alone_do_where_phrases_do_not_add_up() -> None:
    documents = compose(plain(VOCABULARY), (64,), seed=1)
    assert confirmed(documents, counting(of_words)) is None


def test_too_short_a_length_names_the_shortest() -> None:
    with pytest.raises(OrchestratorError, match="shortest document of this tokenizer has 3 tokens"):
        compose(VOCABULARY, (2,), seed=1)


def test_a_tokenizer_of_letters_is_refused_in_words() -> None:
    with pytest.raises(OrchestratorError, match="none of our words is one token"):
        compose(vocabulary_of(lambda text: 2 + len(text)), (64,), seed=1)


def test_words_that_the_model_cannot_tell_apart_are_not_used() -> None:
    vocabulary = measure(counting(of_words), lambda texts: [text for text in texts if text.islower()], BY_TOKENIZER)
    assert all(word.islower() for word in (*vocabulary.units, *vocabulary.starters))


def test_a_users_texts_are_measured_and_repeat_only_when_all_were_sent() -> None:
    texts = texts_of('one line\n{"text": "two \\"quoted\\" lines"}\n\none line\n{not json\n', "texts.txt")
    assert texts == ("one line", 'two "quoted" lines', "{not json")
    documents = listed(texts, counting(of_words))
    sent, tokens = documents.batch(2, 2)
    assert [as_text(text) for text in sent] == ["{not json", "one line"]
    assert tokens == of_words("{not json") + of_words("one line")
    assert documents.capacity == 3


@pytest.mark.parametrize("tokens", ["0", "-3", "long", "3.5", "99999999", ""])
def test_a_bad_length_is_a_usage_error(tokens: str) -> None:
    with pytest.raises(OrchestratorError) as caught:
        lengths_of(tokens)
    assert caught.value.exit_code == 2


def test_a_file_of_one_line_is_refused() -> None:
    with pytest.raises(OrchestratorError, match="fewer than two"):
        texts_of("the same\nthe same\n", "texts.txt")


def test_documents_travel_to_a_worker() -> None:
    import msgspec

    documents = compose(VOCABULARY, (32,), seed=1)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(documents), type=Composed)
    assert again.batch(5, 5) == documents.batch(5, 5)
