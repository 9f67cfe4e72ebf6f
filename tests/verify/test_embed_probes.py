"""Each probe of the embedding server must be able to fail: the stand-in embedder misbehaves in one way at a time."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.catalog.models import Matryoshka
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.plan.records import Plan
from orchestrator.progress import Silent
from orchestrator.result import Finding
from orchestrator.verify.embed_long import probe_long, words, words_for
from orchestrator.verify.embed_meaning import probe_meaning
from orchestrator.verify.embed_retrieval import probe_retrieval
from orchestrator.verify.embed_shape import probe_batch, probe_matryoshka, probe_shape, shorter_sizes
from orchestrator.verify.run import Addresses, Keys, run_verification
from orchestrator.verify.stack import probe_ready
from tests.plans import plan_of
from tests.standins.embedder import Embedder, token_count

MODELS = ("good", "good-768", "swapped", "long", "nan", "cuts", "short", "frozen", "error-500", "ollama-like")


@pytest.fixture(scope="module")
def server():
    with Embedder(models=MODELS) as running:
        yield running


@pytest.fixture
def ask(server: Embedder):
    def asked(probe, model: str, **changes: object) -> Finding:
        plan: Plan = plan_of(served_name=model, **changes)
        return probe(plan, EmbeddingsClient(server.url, "", model, timeout_s=30))

    return asked


def own_model(**changes: object):
    """A card that no reference is known for."""
    return msgspec.structs.replace(plan_of().card, id="a-model-of-ones-own", **changes)


def test_good_vectors_pass(ask) -> None:
    assert ask(probe_ready, "good").verdict == "pass"
    assert ask(probe_shape, "good").verdict == "pass"
    assert ask(probe_batch, "good").verdict == "pass"
    assert ask(probe_long, "good").verdict == "pass"


def test_a_model_that_is_not_listed_fails(ask) -> None:
    finding = ask(probe_ready, "another-model")
    assert (finding.verdict, finding.id) == ("fail", "embed.ready")
    assert "good-768" in finding.evidence


@pytest.mark.parametrize(("model", "reason"), [("good-768", "384"), ("long", "norm"), ("nan", "overflows")])
def test_a_wrong_shape_fails_with_its_cause(ask, model: str, reason: str) -> None:
    finding = ask(probe_shape, model)
    assert finding.verdict == "fail"
    assert reason in finding.reason
    assert finding.docs == "docs/checks.md#embed.shape"


def test_answers_out_of_order_fail(ask) -> None:
    finding = ask(probe_batch, "swapped")
    assert finding.verdict == "fail"
    assert "out of order" in finding.reason


def test_a_silent_cut_fails(ask) -> None:
    finding = ask(probe_long, "cuts")
    assert finding.verdict == "fail"
    assert "256 tokens sent, 64 read" in finding.evidence


def test_the_end_of_a_text_counts_even_where_the_server_lies_about_its_tokens(ask) -> None:
    """`frozen` counts every token and reads none."""
    finding = ask(probe_long, "frozen")
    assert finding.verdict == "fail"
    assert "cosine 1.0" in finding.evidence


def test_ollama_is_asked_on_the_path_that_can_refuse(ask) -> None:
    """Its OpenAI path cuts whatever it is told; tokens are counted by embedding, for it has no tokenizer to ask."""
    finding = ask(probe_long, "ollama-like", backend="ollama")
    assert finding.verdict == "pass"
    assert "exceeds the context length" in finding.evidence
    assert ask(probe_long, "ollama-like", backend="vllm").verdict == "fail"


def test_a_server_with_a_smaller_limit_than_planned_fails(ask) -> None:
    finding = ask(probe_long, "good", max_length=512)
    assert finding.verdict == "fail"
    assert "refused" in finding.reason


def test_foreign_vectors_are_not_minilm(ask) -> None:
    finding = ask(probe_meaning, "good")
    assert finding.verdict == "fail"
    assert "lowest cosine" in finding.evidence
    assert "pooling" in finding.reason


def test_an_unknown_model_is_asked_for_common_sense_and_says_so(ask) -> None:
    finding = ask(probe_meaning, "frozen", card=own_model())
    assert finding.verdict == "fail"
    assert "no reference vectors are known" in finding.evidence


def test_vectors_without_meaning_find_nothing(ask) -> None:
    finding = ask(probe_retrieval, "frozen")
    assert finding.verdict == "fail"
    assert "English 0.000" in finding.evidence


def test_matryoshka_is_skipped_where_the_model_or_the_server_has_none(ask) -> None:
    assert ask(probe_matryoshka, "good").verdict == "skip"
    mrl = own_model(mrl=Matryoshka(kind="range", min=32, max=384))
    assert ask(probe_matryoshka, "good", card=mrl, backend="llamacpp").verdict == "skip"


def test_matryoshka_sizes_are_asked_for(ask) -> None:
    mrl = own_model(mrl=Matryoshka(kind="list", min=None, max=None, dims=(64, 128, 384)))
    finding = ask(probe_matryoshka, "good", card=mrl)
    assert finding.verdict == "pass"
    assert "[64, 128]" in finding.evidence


@pytest.mark.parametrize(
    ("mrl", "dimension", "sizes"),
    [
        (Matryoshka(kind="range", min=32, max=2560), 2560, (32, 2048)),
        (Matryoshka(kind="range", min=32, max=1024), 1024, (32, 512)),
        (Matryoshka(kind="list", dims=(256,)), 1024, (256,)),
        (Matryoshka(kind="list", dims=(768, 512, 256, 128)), 768, (128, 256)),
        (Matryoshka(kind="range", min=32, max=2560), 32, ()),
    ],
)
def test_shorter_sizes(mrl: Matryoshka, dimension: int, sizes: tuple[int, ...]) -> None:
    assert tuple(shorter_sizes(mrl, dimension)) == sizes


@pytest.mark.parametrize("tokens", [32, 256, 2048, 32768])
def test_texts_of_an_exact_number_of_tokens(tokens: int) -> None:
    assert words_for(tokens, lambda count: token_count(words(count))) == tokens - 2
    two_per_word = words_for(tokens, lambda count: 2 * count + 2)
    assert two_per_word is None or 2 * two_per_word + 2 == tokens


def test_a_dead_server_is_asked_once(server: Embedder) -> None:
    plan = plan_of(served_name="good")
    found = run_verification(plan, Addresses(embeddings="http://127.0.0.1:1"), Keys(), Silent())
    assert [each.verdict for each in found] == ["error"] + ["skip"] * 6
    assert "refused" in found[0].evidence


def test_a_server_that_refuses_fails_each_probe_with_its_words(server: Embedder) -> None:
    plan = plan_of(served_name="error-500")
    found = run_verification(plan, Addresses(embeddings=server.url), Keys(), Silent())
    assert {each.id: each.verdict for each in found}["embed.shape"] == "fail"
    assert "CUDA out of memory" in next(each for each in found if each.id == "embed.shape").reason
