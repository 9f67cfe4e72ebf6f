"""A user's own model on the hub (a stand-in): read from its small files and its GGUF header, never its weights."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.facts.model_files import own_model
from tests.facts.test_model_files import BERT, QWEN, gguf
from tests.standins.hub import StandInHub, running

REPOSITORY = "maker/embedder"
WEIGHTS_BYTES = 30_000_000


def sent_bytes(hub: StandInHub) -> int:
    """At most what the requests that were answered could have sent."""
    whole = sum(
        len(hub.files[path.rpartition("/main/")[2]])
        for method, path, asked in hub.requests
        if method == "GET" and "/resolve/main/" in path and asked is None
    )
    ranges = [int(asked.rpartition("-")[2]) + 1 for _, _, asked in hub.requests if asked]
    return whole + sum(ranges)


@pytest.fixture
def serve(monkeypatch):
    from contextlib import ExitStack

    with ExitStack() as opened:

        def start(files: dict[str, bytes]) -> StandInHub:
            hub = opened.enter_context(running(StandInHub(REPOSITORY, files)))
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            return hub

        yield start


def test_a_folder_of_safetensors_is_read_from_its_config(serve):
    hub = serve(
        {
            "config.json": json.dumps({**BERT, "torch_dtype": "bfloat16"}).encode(),
            "sentence_bert_config.json": b'{"max_seq_length": 256}',
            "1_Pooling/config.json": b'{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}',
            "model.safetensors": b"\0" * WEIGHTS_BYTES,
        }
    )
    own = own_model(REPOSITORY, set())
    assert own is not None
    assert (own.kind, own.reference, own.bytes, own.dtype) == ("hub", REPOSITORY, WEIGHTS_BYTES, "bfloat16")
    assert (own.card.ctx, own.card.dim, own.card.pooling) == (256, 384, "mean")
    assert sent_bytes(hub) < 10_000


def test_a_gguf_is_read_by_a_range_of_its_header(serve):
    hub = serve({"embedder-Q4_K_M.gguf": gguf(QWEN) + b"\0" * WEIGHTS_BYTES, "embedder-f16.gguf": b"GGUF"})
    own = own_model(REPOSITORY, set())
    assert own is not None
    assert (own.kind, own.filename, own.dtype) == ("hub", "embedder-Q4_K_M.gguf", "Q4_K_M")
    assert (own.card.ctx, own.card.dim, own.card.layers) == (40960, 2560, 36)
    assert sent_bytes(hub) < WEIGHTS_BYTES / 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_names_the_repository_and_the_remedy(serve, status):
    hub = serve({"config.json": b"{}"})
    hub.refusal = (status, {})
    with pytest.raises(OrchestratorError) as refused:
        own_model(REPOSITORY, set())
    assert REPOSITORY in refused.value.message
    assert str(status) in refused.value.message
    assert refused.value.remedy


def test_a_repository_without_weights(serve):
    serve({"README.md": b"# nothing"})
    with pytest.raises(OrchestratorError, match="neither safetensors nor GGUF"):
        own_model(REPOSITORY, set())
