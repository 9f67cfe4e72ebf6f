"""An embedding server that is wrong in one way: exactly one check tells it, and what it explains is skipped."""

from __future__ import annotations

from array import array

import msgspec
import pytest

from orchestrator.doctor.checks.embedder import EMBED_READY
from orchestrator.verify import embed_meaning, embed_retrieval
from orchestrator.verify.embed_retrieval import Parallel
from orchestrator.verify.references import ReferenceVectors
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.stack_view import CHECKS_OF_A_STACK, view_of
from tests.plans import plan_of
from tests.standins.embedder import Embedder, vector_of
from tests.standins.ollama import Replay, replaying

MODELS = ("good", "good-768", "other", "swapped", "long", "nan", "cuts", "short", "no-data", "error-500", "frozen")
TEXTS = ("The lamp of the lighthouse turns slowly.", "Bread needs flour, water, salt and patience.")

BEHIND_READY = ("shape", "batch", "matryoshka", "long", "meaning", "retrieval")
BEHIND_SHAPE = BEHIND_READY[1:]
BEHIND_BATCH = BEHIND_READY[2:]


@pytest.fixture(scope="module")
def server():
    with Embedder(models=(*MODELS, "hangs-3")) as running:
        yield running


@pytest.fixture(autouse=True)
def known_vectors(monkeypatch):
    """The stand-in's own vectors are the published ones of its model."""
    vectors = tuple(array("f", vector_of(text)) for text in TEXTS)
    reference = ReferenceVectors(texts=TEXTS, vectors=vectors, source="the stand-in")
    monkeypatch.setattr(embed_meaning, "reference_vectors", lambda model: reference)
    parallel = Parallel(passages=TEXTS, queries=("What turns slowly in a lighthouse?", "What flour does bread need?"))
    monkeypatch.setattr(embed_retrieval, "parallel_texts", lambda: {"en": parallel})


@pytest.fixture
def stack(context, server, monkeypatch):
    def of(model: str, url: str | None = None):
        card = msgspec.structs.replace(plan_of().card, id="a-model-of-ones-own", multilingual=False)
        plan = plan_of(engine="native", roles=("embeddings",), served_name=model, card=card)
        return context(plan=plan, stack=view_of(url or server.url))

    return of


@pytest.fixture(scope="module")
def asked_once():
    return {}


@pytest.fixture
def healthy(stack, asked_once):
    if not asked_once:
        asked_once.update(verdicts(stack("good"), CHECKS_OF_A_STACK))
    return asked_once


def skipped(*names: str) -> dict[str, str]:
    """`matryoshka` is skipped by a healthy stack too: its model has no shorter vectors."""
    return {f"embed.{name}": "skip" for name in names if name != "matryoshka"}


def test_a_right_server_passes_all(stack):
    found = findings(stack("good"), CHECKS_OF_A_STACK)
    for name in BEHIND_READY:
        wanted = "skip" if name == "matryoshka" else "pass"
        assert found[f"embed.{name}"].verdict == wanted, found[f"embed.{name}"]


@pytest.mark.parametrize(
    ("model", "told_by", "behind"),
    [
        ("not-served", "ready", BEHIND_READY),
        ("good-768", "shape", BEHIND_SHAPE),
        ("long", "shape", BEHIND_SHAPE),
        ("nan", "shape", BEHIND_SHAPE),
        ("short", "shape", BEHIND_SHAPE),
        ("no-data", "shape", BEHIND_SHAPE),
        ("error-500", "shape", BEHIND_SHAPE),
        ("swapped", "batch", BEHIND_BATCH),
        ("frozen", "batch", BEHIND_BATCH),
        ("cuts", "long", ()),
        ("other", "meaning", ("retrieval",)),
    ],
)
def test_one_fault_is_told_once(healthy, stack, model, told_by, behind):
    assert changed(healthy, stack(model), CHECKS_OF_A_STACK) == {f"embed.{told_by}": "fail", **skipped(*behind)}


def test_a_dead_server_fails_to_be_ready_and_nothing_else(healthy, stack):
    dead = stack("good", url="http://127.0.0.1:9")
    assert changed(healthy, dead, CHECKS_OF_A_STACK) == {"embed.ready": "fail", **skipped(*BEHIND_READY)}


def test_a_server_that_hangs_is_a_failure_with_its_address(stack, monkeypatch, server):
    monkeypatch.setattr("orchestrator.doctor.checks.asked.ANSWER_S", 0.3)
    found = findings(stack("hangs-3"), CHECKS_OF_A_STACK)
    assert found["embed.ready"].verdict == "pass"
    assert found["embed.shape"].verdict == "fail"
    assert server.url in found["embed.shape"].evidence
    assert found["embed.batch"].evidence == "blocked by embed.shape"


# Ollama, from recorded exchanges: it serves from the CPU, without a word, what did not fit on the card


def recorded(name: str) -> Replay:
    """Its answer to /api/ps after the model was loaded, and the model's name in the list."""
    replay = Replay(name)
    replay.answers[("GET", "/api/ps", "null")] = replay.answers[("GET", "/api/ps", "null")][-1:]
    listed = {"object": "list", "data": [{"id": "all-minilm-l6-v2:latest"}]}
    replay.answers[("GET", "/v1/models", "null")] = [{"status": 200, "body": listed}]
    return replay


@pytest.mark.parametrize(
    ("exchange", "verdict", "told"),
    [
        ("ready_on_gpu", "pass", "bytes on the card"),
        ("partly_on_cpu", "fail", "on the CPU"),
        ("context_reduced", "fail", "context of"),
    ],
)
def test_ollama_is_ready_where_and_as_it_was_planned(context, exchange, verdict, told):
    plan = plan_of("ollama", max_length=256, roles=("embeddings",))
    plan = msgspec.structs.replace(plan, device=plan_of(gpu=True).device)
    with replaying(recorded(exchange)) as replay:
        found = findings(context(plan=plan, stack=view_of(replay.url)), (EMBED_READY,))["embed.ready"]
    assert found.verdict == verdict
    assert told in f"{found.evidence} {found.reason}"
