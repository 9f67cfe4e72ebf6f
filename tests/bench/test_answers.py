"""Once the shape of a server's answers is known they are read in another way; what is wrong has the same name there."""

from __future__ import annotations

import base64

import msgspec
import numpy as np
import pytest

from orchestrator.bench.connection import Answered
from orchestrator.bench.correctness import Asked, Checker
from orchestrator.bench.records import Endpoint

DIMENSION = 63
"""Three numbers are a multiple of three bytes: base64 of one length may end in padding or not."""


def unit(seed: int, size: int = DIMENSION) -> bytes:
    vector = np.random.default_rng(seed).standard_normal(size).astype("<f4")
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


def text(vector: bytes) -> str:
    return base64.b64encode(vector).decode()


def answer(embeddings: list[str], *, indexes: list[int] | None = None, model: str = "stub", tokens: int = 8) -> bytes:
    places = indexes or list(range(len(embeddings)))
    items = [{"index": place, "embedding": each} for place, each in zip(places, embeddings, strict=True)]
    return msgspec.json.encode({"data": items, "model": model, "usage": {"prompt_tokens": tokens}})


def asked(body: bytes) -> Asked:
    return Asked(Answered(200, bytearray(body), 0, len(body), None), 2, 8)


GOOD = [text(unit(1)), text(unit(2))]
NAN = text(np.full(DIMENSION, np.nan, "<f4").tobytes())
LATER = {
    "good": (answer(GOOD), ""),
    "other good vectors": (answer([text(unit(3)), text(unit(4))]), ""),
    "order": (answer(GOOD, indexes=[1, 0]), "order"),
    "tokens": (answer(GOOD, tokens=9), "tokens"),
    "model": (answer(GOOD, model="another"), "model"),
    "one missing": (answer(GOOD[:1]), "count"),
    "one too many": (answer([*GOOD, text(unit(3))]), "count"),
    "not finite": (answer([GOOD[0], NAN]), "not_finite"),
    "norm": (answer([text((np.frombuffer(unit(1), "<f4") * 3).tobytes()), GOOD[1]]), "norm"),
    "a shorter vector": (answer([GOOD[0], text(unit(2, 60))]), "dimension"),
    "a byte less in the same length": (answer([GOOD[0], text(unit(2)[:-1])]), "dimension"),
    "no base64": (answer([GOOD[0], "*" + GOOD[1][1:]]), "not_base64"),
    "cut short": (answer(GOOD)[:-1], "not_json"),
    "more behind it": (answer(GOOD) + b"}", "not_json"),
    "a number for a vector": (answer(GOOD).replace(b'"' + GOOD[1].encode() + b'"', b"1"), "not_json"),
}


@pytest.mark.parametrize("what", LATER)
def test_a_wrong_answer_after_right_ones_has_its_name(what: str) -> None:
    body, kind = LATER[what]
    checker = Checker(Endpoint(url="http://x", model="stub"), DIMENSION)
    first, _ = checker.check([asked(answer(GOOD))])
    again, _ = checker.check([asked(answer(GOOD)), asked(body), asked(answer(GOOD))])
    assert [read is not None for read in (*first, *again)] == [True, True, not kind, True]
    assert {wrong.kind: wrong.count for wrong in checker.tally.wrongs()} == ({kind: 1} if kind else {})


def test_vectors_and_fingerprints_are_those_of_the_answer() -> None:
    checker = Checker(Endpoint(url="http://x", model="stub"), DIMENSION)
    checker.check([asked(answer(GOOD))])
    others = [text(unit(3)), text(unit(1))]
    (one, other), prints = checker.check([asked(answer(GOOD)), asked(answer(others))])
    assert one is not None
    assert other is not None
    assert [*one.vectors, *other.vectors] == [unit(1), unit(2), unit(3), unit(1)]
    a, b, c, d = np.frombuffer(prints, np.uint64)
    assert a == d
    assert len({a, b, c}) == 3
