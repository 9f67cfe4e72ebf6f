"""Our side of /v1/embeddings, against the stand-in embedder."""

from __future__ import annotations

import pytest

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.http import Answer
from orchestrator.errors import OrchestratorError
from tests.standins.embedder import Embedder, token_count, vector_of

ALL = ("good", "short", "no-data", "error-500")


def test_vectors_come_back_in_order_with_their_tokens() -> None:
    texts = ["the first text", "a second one", "rain"]
    with Embedder(key="k", models=ALL) as server:
        found = EmbeddingsClient(server.url, "k", "good").embed(texts)
    assert found.tokens == sum(map(token_count, texts))
    for vector, text in zip(found.vectors, texts, strict=True):
        assert vector.tolist() == pytest.approx(vector_of(text), abs=1e-6)


def test_the_index_counts_and_not_the_position() -> None:
    client = EmbeddingsClient("http://127.0.0.1:1", "", "m")
    body = {"data": [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]}
    found = client.read(Answer(status=200, body=body), 2)
    assert [vector.tolist() for vector in found.vectors] == [[1.0, 0.0], [0.0, 1.0]]
    assert found.tokens is None


@pytest.mark.parametrize(
    "data",
    [
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 5, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": None}],
    ],
)
def test_missing_doubled_and_foreign_vectors_are_a_bad_answer(data: list[dict[str, object]]) -> None:
    client = EmbeddingsClient("http://127.0.0.1:1", "", "m")
    with pytest.raises(OrchestratorError) as caught:
        client.read(Answer(status=200, body={"data": data}), 2)
    assert caught.value.code == "bad_answer"


@pytest.mark.parametrize(
    ("model", "code"), [("short", "bad_answer"), ("no-data", "bad_answer"), ("error-500", "refused")]
)
def test_misbehaviour_is_an_error(model: str, code: str) -> None:
    with Embedder(models=ALL) as server, pytest.raises(OrchestratorError) as caught:
        EmbeddingsClient(server.url, "", model).embed(["one", "two"])
    assert caught.value.code == code


def test_a_wrong_key_is_refused_and_not_shown() -> None:
    with Embedder(key="right", models=ALL) as server, pytest.raises(OrchestratorError) as caught:
        EmbeddingsClient(server.url, "wrong-key", "good").embed(["one"])
    assert "401" in caught.value.message
    assert "wrong-key" not in caught.value.message + caught.value.evidence


def test_tokens_are_counted_by_the_server() -> None:
    with Embedder() as server:
        client = EmbeddingsClient(server.url, "", "good")
        assert client.count_tokens("three small words") == 5
        assert client.models() == ("good",)
        assert client.healthy()
