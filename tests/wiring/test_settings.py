"""What is ours among Open WebUI's settings, and how it is compared and written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.wiring.admin import Admin
from orchestrator.wiring.settings import (
    Settings,
    admin_body,
    desired_settings,
    differences,
    embedding_body,
    retrieval_body,
    settings_from,
)
from orchestrator.wiring.stale import recorded_model
from orchestrator.wiring.wire import WireReport
from tests.plans import plan_of

KEY = "emb-secret-key"


@pytest.fixture
def desired() -> Settings:
    return desired_settings(plan_of(), "http://embeddings:8000/", KEY)


def read(desired: Settings, **changes: Any) -> Settings:
    """What Open WebUI answers after `desired` was written and then changed by someone."""
    embedding = {**embedding_body(desired), **{k: v for k, v in changes.items() if "EMBEDDING" in k}}
    retrieval = {
        **retrieval_body(desired, frozenset(Settings.__struct_fields__)),
        **{k: v for k, v in changes.items() if k in {"CHUNK_SIZE", "TEXT_SPLITTER"}},
    }
    return settings_from(embedding, retrieval, admin_body(desired, {"WEBUI_URL": "https://kb.example"}))


def test_what_is_written_reads_back_the_same(desired: Settings) -> None:
    assert differences(desired, read(desired)) == ()


def test_the_url_has_v1_and_no_slash_at_its_end(desired: Settings) -> None:
    assert desired.embedding_url == "http://embeddings:8000/v1"


def test_each_drifted_setting_is_named(desired: Settings) -> None:
    found = differences(desired, read(desired, RAG_EMBEDDING_BATCH_SIZE=1, CHUNK_SIZE=333, TEXT_SPLITTER="token"))
    assert {each.field: (each.want, each.have) for each in found} == {
        "embedding_batch_size": ("32", "1"),
        "text_splitter": ("''", "'token'"),
        "chunk_size": ("1000", "333"),
    }


def test_a_batch_that_is_null_differs(desired: Settings) -> None:
    assert [each.field for each in differences(desired, read(desired, RAG_EMBEDDING_BATCH_SIZE=None))] == [
        "embedding_batch_size"
    ]


def test_character_is_the_default_splitter(desired: Settings) -> None:
    assert differences(desired, read(desired, TEXT_SPLITTER="character")) == ()


def test_every_backend_is_spoken_to_as_openai() -> None:
    engines = {desired_settings(plan_of(backend), "http://e", "").embedding_engine for backend in ("vllm", "ollama")}
    assert engines == {"openai"}


def test_the_embedding_update_is_always_complete(desired: Settings) -> None:
    assert embedding_body(desired).keys() >= {
        "RAG_EMBEDDING_ENGINE",
        "RAG_EMBEDDING_MODEL",
        "RAG_EMBEDDING_BATCH_SIZE",
        "ENABLE_ASYNC_EMBEDDING",
        "RAG_EMBEDDING_CONCURRENT_REQUESTS",
        "openai_config",
    }


def test_the_retrieval_update_has_only_what_differs(desired: Settings) -> None:
    assert retrieval_body(desired, frozenset({"top_k", "embedding_model"})) == {"TOP_K": 5}
    assert retrieval_body(desired, frozenset({"chunk_overlap"})) == {"CHUNK_SIZE": 1000, "CHUNK_OVERLAP": 100}
    assert retrieval_body(desired, frozenset({"enable_signup"})) == {}


def test_the_admin_update_keeps_what_is_not_ours(desired: Settings) -> None:
    current = {"WEBUI_URL": "https://kb.example", "ENABLE_SIGNUP": True, "JWT_EXPIRES_IN": "7d"}
    assert admin_body(desired, current) == {**current, "ENABLE_SIGNUP": False, "ENABLE_API_KEYS": True}


def test_the_admin_update_leaves_two_factor_settings_out(desired: Settings) -> None:
    """Sent by an API key they are refused; omitted they are kept."""
    assert not [
        key for key in admin_body(desired, {"ENABLE_MFA": True, "MFA_ALLOW_OAUTH_BYPASS": False}) if "MFA" in key
    ]


def test_no_key_shows_itself(desired: Settings) -> None:
    other = msgspec.structs.replace(desired, embedding_key=type(desired.embedding_key)("other-secret"))
    (difference,) = differences(desired, other)
    assert difference.field == "embedding_key"
    report = WireReport(changed=(difference,), api_key="sk-secret", api_key_is_new=True, embedding_changed=False)
    shown = repr((desired, difference, report, Admin(email="a@b.c", password="pw-secret"))) + str(difference)
    assert "secret" not in shown


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("{'engine': 'openai', 'model': 'all-minilm-l6-v2'}", "all-minilm-l6-v2"),
        ("not a dict", None),
        ("['model']", None),
        (None, None),
    ],
)
def test_the_model_of_stored_vectors_is_read_from_their_metadata(text: str | None, model: str | None) -> None:
    assert recorded_model({"embedding_config": text}) == model
