"""Wiring and the round trip against the real Open WebUI and ChromaDB; the embedding server is the stand-in.

Each trap of Open WebUI that can bite has a test here. The tests share one stack and put it right again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property

import pytest

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.progress import Silent
from orchestrator.result import Finding
from orchestrator.verify.round_trip import QUESTION, handbook, probe_round_trip
from orchestrator.verify.stack import probe_chroma, probe_dimension, probe_effective, probe_path
from orchestrator.verify.traces import METADATA, new_label, remove_traces
from orchestrator.wiring.admin import Admin
from orchestrator.wiring.settings import Settings, desired_settings
from orchestrator.wiring.stale import reindex
from orchestrator.wiring.wire import WireReport, read_settings, wire
from tests.integration.real_programs import EMAIL, PASSWORD, RealChroma, RealWebUi, environment_of
from tests.plans import plan_of
from tests.standins.embedder import Embedder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

KEY = "embeddings-key-of-the-tests"
MODELS = ("good", "other", "good-768", "frozen", "error-500", "no-data", "hangs-2")
QUERY, DOCUMENT = "query: ", "passage: "


class Stack:
    """The running programs, and what a command of ours would do with them."""

    def __init__(self, embedder: Embedder, chroma: RealChroma, program: RealWebUi) -> None:
        self.embedder, self.chroma, self.program = embedder, chroma, program
        self.api_key = ""

    @cached_property
    def webui(self) -> WebUiClient:
        """One session for all tests: sign-ins are limited to 15 in three minutes."""
        return self.program.signed_in()

    def plan(self, model: str = "good", **changes: object) -> Plan:
        wanted = {"query_prefix": QUERY, "document_prefix": DOCUMENT, "dimension": 768 if model == "good-768" else 384}
        return plan_of(served_name=model, **{**wanted, **changes})

    def desired(self, model: str = "good") -> Settings:
        return desired_settings(self.plan(model), self.embedder.url, KEY)

    def embeddings(self, model: str = "good") -> EmbeddingsClient:
        return EmbeddingsClient(self.embedder.url, KEY, model, timeout_s=30)

    def wire(self, model: str = "good", **changes: object) -> WireReport:
        desired = changes.pop("desired", None) or self.desired(model)
        embeddings = changes.pop("embeddings", None) or self.embeddings(model)
        admin = Admin(**{"email": EMAIL, "password": PASSWORD, "api_key": self.api_key, **changes})
        report = wire(WebUiClient(self.program.url), embeddings, desired, admin, Silent())
        self.api_key = report.api_key
        return report

    def round_trip(self, model: str = "good", **changes: object) -> dict[str, Finding]:
        plan = self.plan(model, **changes)
        found = probe_round_trip(plan, self.webui, self.chroma.client, self.embeddings(model), Silent())
        return {finding.id: finding for finding in found}

    def everything(self) -> tuple[object, ...]:
        """All that a round trip could leave somewhere."""
        webui = self.webui
        collections = sorted(
            (each.name, self.chroma.client.count(each.id)) for each in self.chroma.client.collections()
        )
        return collections, webui.knowledge_bases(), webui.files("*"), self.program.uploads()

    def knowledge_base(self, text: str) -> tuple[str, str]:
        """A user's: ids of a knowledge base with one file."""
        webui = self.webui
        base = webui.create_knowledge("A user's own", "Notes")
        file = webui.upload("notes.txt", text.encode())
        webui.wait_processed(file.id, 60)
        webui.add_to_knowledge(base.id, file.id, 60)
        return base.id, file.id

    def remove(self, base_id: str, file_id: str) -> None:
        self.webui.remove_from_knowledge(base_id, file_id)
        self.webui.remove_knowledge(base_id)
        self.chroma.client.remove_collection(METADATA)


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    environment = environment_of("ORCHESTRATOR_TEST_WEBUI_ENV", "open-webui", request)
    folder = tmp_path_factory.mktemp("webui")
    with Embedder(key=KEY, models=MODELS) as embedder:
        chroma = RealChroma(environment, folder)
        program = RealWebUi(environment, folder, chroma, embedder.url, KEY)
        try:
            program.start(RAG_EMBEDDING_QUERY_PREFIX=QUERY, RAG_EMBEDDING_CONTENT_PREFIX=DOCUMENT)
            yield Stack(embedder, chroma, program)
        finally:
            program.program.stop()
            chroma.program.stop()


# -- wiring


def test_wiring_sets_what_differs_and_the_second_run_changes_nothing(stack: Stack) -> None:
    first = stack.wire()
    changed = {difference.field for difference in first.changed}
    assert changed == {"embedding_batch_size", "embedding_concurrent_requests", "top_k", "enable_api_keys"}
    assert first.api_key.startswith("sk-")
    assert first.api_key_is_new
    assert not first.embedding_changed
    assert read_settings(stack.webui) == stack.desired()

    second = stack.wire()
    assert second.changed == ()
    assert second.api_key == first.api_key
    assert not second.api_key_is_new


def test_a_drifted_stack_is_repaired_and_users_own_settings_are_kept(stack: Stack) -> None:
    webui = stack.webui
    webui.update_retrieval_settings({"RELEVANCE_THRESHOLD": 0.25, "RAG_TEMPLATE": "Ours: {{CONTEXT}}"})
    webui.update_admin_settings({**webui.admin_settings(), "WEBUI_URL": "https://kb.example", "ENABLE_NOTES": False})
    webui.update_embedding_settings(
        {
            "RAG_EMBEDDING_ENGINE": "ollama",
            "RAG_EMBEDDING_MODEL": "another",
            "ollama_config": {"url": "http://127.0.0.1:9", "key": "users-own"},
        }
    )
    webui.update_retrieval_settings({"CHUNK_SIZE": 100, "CHUNK_OVERLAP": 200, "TEXT_SPLITTER": "token"})
    webui.update_admin_settings({**webui.admin_settings(), "ENABLE_SIGNUP": True})
    users = (webui.retrieval_settings(), webui.admin_settings(), webui.embedding_settings()["ollama_config"])

    report = stack.wire()

    assert report.embedding_changed
    assert {difference.field for difference in report.changed} == {
        "embedding_engine",
        "embedding_model",
        "embedding_batch_size",
        "embedding_concurrent_requests",
        "text_splitter",
        "chunk_size",
        "chunk_overlap",
        "enable_signup",
    }
    after = (webui.retrieval_settings(), webui.admin_settings(), webui.embedding_settings()["ollama_config"])
    ours = {"CHUNK_SIZE", "CHUNK_OVERLAP", "TEXT_SPLITTER", "ENABLE_SIGNUP"}
    for before, now in zip(users, after, strict=True):
        assert {key for key in before if before[key] != now[key]} <= ours
    assert after[0]["RELEVANCE_THRESHOLD"] == 0.25
    assert after[1]["WEBUI_URL"] == "https://kb.example"
    assert after[2] == {"url": "http://127.0.0.1:9", "key": "users-own"}
    assert stack.wire().changed == ()
    webui.update_retrieval_settings({"RELEVANCE_THRESHOLD": 0.0})


def test_an_update_that_omits_the_batch_resets_it_and_wiring_notices(stack: Stack) -> None:
    webui = stack.webui
    webui.update_embedding_settings({"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": "good"})
    assert webui.embedding_settings()["RAG_EMBEDDING_BATCH_SIZE"] == 1  # the trap (facts 7.1)
    finding = probe_effective(webui, stack.desired())
    assert finding.verdict == "fail"
    assert "embedding_batch_size: want 32, have 1" in finding.evidence
    assert KEY not in finding.evidence

    stack.wire()
    assert probe_effective(webui, stack.desired()).verdict == "pass"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:9", "embedder_not_reachable"),
        ("{embedder}/nothing-here", "embedder_not_reachable"),
    ],
)
def test_open_webui_takes_a_dead_url_and_wiring_does_not(stack: Stack, url: str, code: str) -> None:
    webui = stack.webui
    dead = desired_settings(stack.plan(), url.replace("{embedder}", stack.embedder.url), KEY)
    # The trap: Open WebUI itself answers 200 to it.
    body = {"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": "good"}
    webui.update_embedding_settings({**body, "openai_config": {"url": dead.embedding_url, "key": KEY}})
    assert webui.embedding_settings()["openai_config"]["url"] == dead.embedding_url
    assert probe_path(webui, dead).verdict == "fail"

    before = webui.embedding_settings()
    with pytest.raises(OrchestratorError) as caught:
        stack.wire(desired=dead)
    assert caught.value.code == code
    assert KEY not in caught.value.message + caught.value.evidence
    assert webui.embedding_settings() == before
    stack.wire()


def test_a_trailing_slash_breaks_open_webui_and_wiring_removes_it(stack: Stack) -> None:
    webui = stack.webui
    slashed = f"{stack.embedder.url}/v1/"
    body = {"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": "good"}
    webui.update_embedding_settings({**body, "openai_config": {"url": slashed, "key": KEY}})
    finding = stack.round_trip()["e2e.roundtrip"]
    assert finding.verdict == "fail"
    assert "embedding the document" in finding.reason
    assert "//embeddings" in finding.reason

    stack.wire()
    assert stack.round_trip()["e2e.roundtrip"].verdict == "pass"


def test_an_embedder_that_does_not_embed_is_not_wired_to(stack: Stack) -> None:
    with pytest.raises(OrchestratorError) as caught:
        stack.wire("error-500")
    assert caught.value.code == "embedder_not_usable"
    with pytest.raises(OrchestratorError) as unknown:
        stack.wire(desired=stack.desired("nobody"))
    assert unknown.value.code == "model_not_served"
    assert "good-768" in unknown.value.evidence
    with pytest.raises(OrchestratorError) as key:
        wrong = desired_settings(stack.plan(), stack.embedder.url, "wrong-key")
        stack.wire(desired=wrong)
    assert key.value.code == "embedder_not_reachable"
    assert stack.wire().changed == ()


def test_a_wrong_password_names_the_way_out_and_does_not_show_it(stack: Stack) -> None:
    with pytest.raises(OrchestratorError) as caught:
        stack.wire(password="not-the-password", api_key="")
    assert caught.value.code == "admin_sign_in"
    assert "WEBUI_ADMIN_PASSWORD" in caught.value.remedy
    assert "not-the-password" not in caught.value.message + caught.value.evidence


def test_a_stored_key_that_no_longer_works_is_replaced_by_the_one_in_use(stack: Stack) -> None:
    stack.wire()
    made_by_a_person = stack.webui.make_api_key()
    report = stack.wire(api_key=stack.api_key)
    assert report.api_key == made_by_a_person
    assert report.api_key_is_new
    assert report.changed == ()
    assert stack.wire(api_key="sk-of-another-life").api_key == made_by_a_person


def test_a_stored_key_spares_the_sign_in(stack: Stack) -> None:
    stack.wire()
    assert stack.wire(password="not needed").changed == ()


def test_too_many_sign_ins_are_told_apart_from_a_wrong_password(stack: Stack) -> None:
    """The limit is one per address, so another one is used up here."""
    client = WebUiClient(stack.program.url)
    with pytest.raises(OrchestratorError) as caught:
        for _ in range(20):
            assert not client.sign_in("nobody@example.com", "a guess")
    assert caught.value.code == "sign_in_limited"
    assert "three minutes" in caught.value.remedy


# -- the round trip


def test_the_round_trip_finds_its_document_and_leaves_nothing(stack: Stack) -> None:
    stack.wire()
    before = stack.everything()
    found = stack.round_trip()
    assert {key: finding.verdict for key, finding in found.items()} == {
        "e2e.roundtrip": "pass",
        "e2e.prefix": "pass",
        "e2e.clean": "pass",
    }, found
    assert "dimension 384" in found["e2e.roundtrip"].evidence
    assert stack.everything() == before
    assert probe_chroma(stack.chroma.client).verdict == "pass"


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"query_prefix": ""}, "query prefix: another text"),
        ({"query_prefix": "Question: "}, "query prefix"),
        ({"query_prefix": QUERY + QUERY}, "query prefix"),
        ({"document_prefix": ""}, "document prefix: another text"),
    ],
)
def test_a_prefix_other_than_the_planned_one_is_seen_by_its_effect(stack: Stack, plan: dict, reason: str) -> None:
    stack.wire()
    finding = stack.round_trip(**plan)["e2e.prefix"]
    assert finding.verdict == "fail"
    assert reason in finding.reason


def test_a_wrong_ranking_and_a_wrong_dimension_fail_the_round_trip(stack: Stack) -> None:
    stack.wire("frozen")
    assert stack.round_trip("frozen")["e2e.roundtrip"].verdict == "fail"
    stack.wire("good")
    other = stack.round_trip(dimension=768)["e2e.roundtrip"]
    assert other.verdict == "fail"
    assert "768" in other.reason


def test_a_failed_ingest_names_its_hop_and_is_cleaned_up(stack: Stack) -> None:
    stack.wire()
    before = stack.everything()
    body = {"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": "error-500"}
    stack.webui.update_embedding_settings(body)
    found = stack.round_trip()
    assert found["e2e.roundtrip"].verdict == "fail"
    assert "embedding the document" in found["e2e.roundtrip"].reason
    assert "500" in found["e2e.roundtrip"].reason
    assert found["e2e.clean"].verdict == "pass"
    assert stack.everything() == before
    stack.wire()


def test_ctrl_c_in_the_middle_leaves_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.wire()
    before = stack.everything()

    def interrupted(*_: object) -> None:
        assert stack.webui.knowledge_bases("orchestrator-verify-")  # there was something to leave behind
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(WebUiClient, "query", interrupted)
        with pytest.raises(KeyboardInterrupt):
            stack.round_trip()
    assert stack.everything() == before


def test_what_a_killed_run_left_is_removed_by_the_next(stack: Stack) -> None:
    stack.wire()
    before = stack.everything()
    label, webui = new_label(), stack.webui
    webui.create_knowledge(label, "killed before the upload")
    in_base = webui.create_knowledge(new_label(), "killed before the question")
    kept = webui.upload(f"{new_label()}.txt", handbook().encode())
    webui.wait_processed(kept.id, 60)
    webui.add_to_knowledge(in_base.id, kept.id, 60)
    alone = webui.upload(f"{label}.txt", handbook().encode())
    webui.wait_processed(alone.id, 60)
    users = webui.create_knowledge("orchestrator-verify-notes of mine", "a user's")

    removed = remove_traces(webui, stack.chroma.client, metadata_was_there=False)

    assert len(removed) == 4
    assert webui.knowledge_bases() == (users,)
    webui.remove_knowledge(users.id)
    stack.chroma.client.remove_collection(METADATA)
    assert stack.everything() == before


def test_a_file_still_in_work_is_awaited_before_its_removal(stack: Stack) -> None:
    """Removed too early, its vectors would come after it."""
    stack.wire("hangs-2")
    before = stack.everything()
    stack.webui.upload(f"{new_label()}.txt", b"a short note about the harbour")
    remove_traces(stack.webui, stack.chroma.client, metadata_was_there=True)
    time.sleep(2.5)  # longer than the embedding takes
    assert stack.everything() == before
    stack.wire()


# -- another model


def test_another_dimension_answers_200_and_nothing_until_the_reindex(stack: Stack) -> None:
    stack.wire()
    base, file = stack.knowledge_base(handbook())
    assert probe_dimension(stack.plan(), stack.webui, stack.chroma.client).verdict == "pass"

    report = stack.wire("good-768")
    assert report.embedding_changed
    assert stack.webui.query(base, QUESTION, 3) == ()  # the trap: 200, and nothing
    finding = probe_dimension(stack.plan("good-768"), stack.webui, stack.chroma.client)
    assert finding.verdict == "fail"
    assert "A user's own" in finding.evidence
    assert "dimension 384" in finding.evidence

    left = reindex(stack.webui, stack.embeddings("good-768"), stack.chroma.client, Silent(), timeout_s=120)
    assert left == ()
    assert probe_dimension(stack.plan("good-768"), stack.webui, stack.chroma.client).verdict == "pass"
    assert stack.webui.query(base, QUESTION, 3)
    stack.remove(base, file)
    stack.wire()


def test_another_model_of_the_same_dimension_is_told_by_what_its_vectors_record(stack: Stack) -> None:
    stack.wire()
    base, file = stack.knowledge_base(handbook())
    stack.wire("other")
    assert stack.webui.query(base, QUESTION, 3)  # the trap: an answer, and a random one
    finding = probe_dimension(stack.plan("other"), stack.webui, stack.chroma.client)
    assert finding.verdict == "fail"
    assert "model good" in finding.evidence

    second = stack.webui.upload("more.txt", b"A second note, embedded by the other model.")
    stack.webui.wait_processed(second.id, 60)
    stack.webui.add_to_knowledge(base, second.id, 60)
    mixed = probe_dimension(stack.plan("other"), stack.webui, stack.chroma.client)
    assert mixed.verdict == "fail"

    assert reindex(stack.webui, stack.embeddings("other"), stack.chroma.client, Silent(), timeout_s=120) == ()
    assert probe_dimension(stack.plan("other"), stack.webui, stack.chroma.client).verdict == "pass"
    stack.webui.remove_from_knowledge(base, second.id)
    stack.remove(base, file)
    stack.wire()


def test_a_reindex_without_an_embedder_is_refused_before_anything_is_deleted(stack: Stack) -> None:
    stack.wire()
    base, file = stack.knowledge_base(handbook())
    before = stack.everything()
    with pytest.raises(OrchestratorError) as caught:
        reindex(stack.webui, stack.embeddings("error-500"), stack.chroma.client, Silent(), timeout_s=120)
    assert caught.value.code == "embedder_not_usable"
    assert stack.everything() == before

    # The trap itself: Open WebUI deletes first and answers true; the probe sees what is missing.
    stack.webui.update_embedding_settings({"RAG_EMBEDDING_ENGINE": "openai", "RAG_EMBEDDING_MODEL": "error-500"})
    stack.webui.reindex_knowledge(120)
    finding = probe_dimension(stack.plan(), stack.webui, stack.chroma.client)
    assert finding.verdict == "fail"
    assert "files, but no vectors" in finding.evidence
    stack.wire()
    reindex(stack.webui, stack.embeddings(), stack.chroma.client, Silent(), timeout_s=120)
    assert probe_dimension(stack.plan(), stack.webui, stack.chroma.client).verdict == "pass"
    stack.remove(base, file)


def test_a_chat_upload_of_an_old_model_only_warns(stack: Stack) -> None:
    stack.wire()
    file = stack.webui.upload("chat.txt", b"a note in no knowledge base")
    stack.webui.wait_processed(file.id, 60)
    stack.wire("other")
    assert probe_dimension(stack.plan("other"), stack.webui, stack.chroma.client).verdict == "warn"
    stack.webui.remove_file(file.id)
    stack.chroma.client.remove_collection(f"file-{file.id}")
    stack.wire()


# -- what only the environment reaches, and what it no longer does; and Chroma's absence. These restart programs.


def test_a_query_while_chroma_is_down_answers_200_and_nothing(stack: Stack) -> None:
    stack.wire()
    base, file = stack.knowledge_base(handbook())
    stack.chroma.program.stop()
    try:
        assert stack.webui.query(base, QUESTION, 3) == ()  # the trap
        with pytest.raises(OrchestratorError) as caught:
            stack.round_trip()
        assert caught.value.code == "unreachable"
        assert "vectors" in caught.value.message
    finally:
        stack.chroma.start()
    assert stack.webui.query(base, QUESTION, 3)
    stack.remove(base, file)


def test_the_environment_of_a_restart_reaches_prefixes_and_nothing_else(stack: Stack) -> None:
    stack.wire()
    stack.program.program.stop()
    # The prefixes are not set any more; the rest is, and is ignored: the database owns it since the first start.
    stack.program.start(CHUNK_SIZE="777", RAG_EMBEDDING_BATCH_SIZE="99", ENABLE_SIGNUP="true", RAG_TOP_K="9")
    assert probe_effective(stack.webui, stack.desired()).verdict == "pass"
    assert stack.wire().changed == ()
    finding = stack.round_trip()["e2e.prefix"]
    assert finding.verdict == "fail"
    assert "document prefix: missing" in finding.reason
    assert "query prefix: missing" in finding.reason
    assert stack.round_trip(query_prefix="", document_prefix="")["e2e.prefix"].verdict == "pass"
