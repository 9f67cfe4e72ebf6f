import json
import struct

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.facts.gguf_header import IncompleteError, NotGgufError, read_header
from orchestrator.facts.model_files import own_model, served_id


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(pairs: dict[str, object], version: int = 3) -> bytes:
    """A header as ggml's docs/gguf.md describes it."""
    body = b""
    for key, value in pairs.items():
        if isinstance(value, bool):
            body += text(key) + struct.pack("<I?", 7, value)
        elif isinstance(value, int):
            body += text(key) + struct.pack("<II", 4, value)
        elif isinstance(value, float):
            body += text(key) + struct.pack("<If", 6, value)
        elif isinstance(value, list):
            items = b"".join(text(item) for item in value)
            body += text(key) + struct.pack("<IIQ", 9, 8, len(value)) + items
        else:
            body += text(key) + struct.pack("<I", 8) + text(str(value))
    return b"GGUF" + struct.pack("<IQQ", version, 5, len(pairs)) + body


QWEN = {
    "general.architecture": "qwen3",
    "general.file_type": 15,
    "qwen3.context_length": 40960,
    "qwen3.embedding_length": 2560,
    "qwen3.block_count": 36,
    "qwen3.attention.head_count": 32,
    "qwen3.attention.head_count_kv": 8,
    "qwen3.attention.key_length": 128,
    "qwen3.feed_forward_length": 9728,
    "qwen3.rope.freq_base": 1e6,
    "qwen3.pooling_type": 3,
    "tokenizer.ggml.add_eos_token": True,
    "tokenizer.ggml.tokens": [f"t{n}" for n in range(500)],
}


def test_header():
    header = read_header(gguf(QWEN))
    assert header["qwen3.context_length"] == 40960
    assert header["tokenizer.ggml.tokens"] == 500
    assert header["tokenizer.ggml.add_eos_token"] is True


def test_a_header_that_ends_too_early_asks_for_more():
    with pytest.raises(IncompleteError):
        read_header(gguf(QWEN)[:-10])


@pytest.mark.parametrize("data", [b"PK\x03\x04 a zip file", gguf(QWEN, version=1)])
def test_what_is_no_gguf(data):
    with pytest.raises(NotGgufError):
        read_header(data)


def test_gguf_file(tmp_path):
    path = tmp_path / "My Qwen 4B.gguf"
    path.write_bytes(gguf(QWEN) + b"\0" * 1000)
    own = own_model(str(path), set())
    card = own.card
    assert (card.id, own.format, own.kind, own.dtype) == ("my-qwen-4b", "gguf", "file", "Q4_K_M")
    assert (card.ctx, card.dim, card.layers, card.kv_heads, card.head_dim, card.vocab) == (40960, 2560, 36, 8, 128, 500)
    assert (card.pooling, card.bidirectional) == ("last_token", False)
    assert own.bytes == path.stat().st_size


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", gguf(QWEN)[:-10], b"not a model", gguf({"general.architecture": "x"})]
)
def test_damaged_gguf_is_an_error_with_the_path(tmp_path, content):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(OrchestratorError) as caught:
        own_model(str(path), set())
    assert caught.value.code == "model_unreadable"


def folder(tmp_path, config, **files):
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name, value in files.items():
        target = tmp_path / name.replace("__", "/").replace("_json", ".json")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(value))
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    return str(tmp_path)


BERT = {
    "architectures": ["BertModel"],
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
    "vocab_size": 30522,
}


def test_sentence_transformers_folder(tmp_path):
    path = folder(tmp_path, BERT, sentence_bert_config_json={"max_seq_length": 256})
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text(
        '{"word_embedding_dimension": 384, "pooling_mode_mean_tokens": true}'
    )
    own = own_model(path, set())
    assert (own.kind, own.dtype, own.card.ctx, own.card.dim) == ("folder", "bfloat16", 256, 384)
    assert (own.card.pooling, own.card.bidirectional, own.card.vocab) == ("mean", True, 30522)


def test_decoder_folder(tmp_path):
    config = {**BERT, "architectures": ["Qwen3ForCausalLM"], "num_key_value_heads": 4, "head_dim": 128}
    card = own_model(folder(tmp_path, config), set()).card
    assert (card.pooling, card.bidirectional, card.kv_heads, card.head_dim) == ("last_token", False, 4, 128)


def test_roberta_has_two_positions_less(tmp_path):
    config = {**BERT, "model_type": "xlm-roberta", "max_position_embeddings": 514}
    assert own_model(folder(tmp_path, config), set()).card.ctx == 512


@pytest.mark.parametrize("config", [{}, {"hidden_size": 1}, []])
def test_folder_without_a_usable_config(tmp_path, config):
    with pytest.raises(OrchestratorError) as caught:
        own_model(folder(tmp_path, config), set())
    assert caught.value.code == "model_unreadable"


def test_names_of_the_catalogue_are_not_read():
    assert own_model("qwen3-embedding-4b", {"qwen3-embedding-4b"}) is None
    assert own_model("no-such-model", set()) is None


def test_a_path_that_is_not_there():
    with pytest.raises(OrchestratorError):
        own_model("./no/such/folder", set())
    with pytest.raises(OrchestratorError):
        own_model("/no/such.gguf", set())


def test_served_id():
    assert served_id("My Model (v2)!") == "my-model-v2"
    assert served_id("***") == "model"
