import json
import os
from types import SimpleNamespace

import msgspec
import pytest

from orchestrator.catalog.gpus import cards
from orchestrator.catalog.models import models
from orchestrator.catalog.pins import load_pins
from orchestrator.engines.engine import Running
from orchestrator.facts.read import read_facts
from orchestrator.operations.calibration import (
    experience_of,
    history_result,
    measurements_file,
    read_measurements,
    record_measurement,
)
from orchestrator.operations.deciding import decision_for
from orchestrator.plan.choose import choose
from orchestrator.plan.simulate import simulated, with_all_sources
from orchestrator.plan.spec import Spec
from tests.facts.test_server_log import VLLM_ON_A_CARD, VLLM_ON_THE_CPU
from tests.standins.ollama import Replay, replaying

GONE = 2**22 + 1


class StandInStack:
    """One running embedding server with its log, as an engine would show them."""

    def __init__(self, plan, log=(), url="http://127.0.0.1:9", **running):
        self.plan = plan
        self._url = url
        shown = Running(role="embeddings", state="running", **running)
        self.engine = SimpleNamespace(observe=lambda: (shown,), logs=lambda role, lines: list(log)[-lines:])

    def url(self, role):
        return self._url


@pytest.fixture
def facts(monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    return with_all_sources(read_facts(offline=True, engine="native"))


@pytest.fixture
def plan(facts):
    if facts.gpu.gpus:
        pytest.skip("this test is about a machine without a card")
    return decision_for(Spec(model="all-minilm-l6-v2", services=("embeddings",)), facts).plan


@pytest.fixture
def plan_on_a_card(facts):
    described = simulated("RTX 3060 12GB", facts, cards())
    return lambda measured=(), **asked: (
        choose(Spec(**asked), described, models(), cards(), load_pins(), measured=measured).plan
    )


def test_the_use_of_a_process_is_kept_and_compared(plan):
    measured = record_measurement(StandInStack(plan, VLLM_ON_THE_CPU, pid=os.getpid()))
    assert measured is not None
    assert measured.method == "RSS"
    assert 10_000_000 < measured.measured_bytes < 10**10
    (one,) = history_result().data["history"]
    assert one.measured_bytes == measured.measured_bytes
    assert models()[plan.model].id in one.what
    (weights,) = one.terms
    assert (weights.name, weights.predicted_bytes) == ("weights file", plan.weights.bytes)
    assert "Checkpoint size: 0.08 GiB" in weights.method


def test_a_service_that_has_gone_leaves_nothing(plan):
    assert record_measurement(StandInStack(plan, pid=GONE)) is None
    assert record_measurement(StandInStack(plan)) is None
    assert read_measurements() == ()


def test_a_line_of_another_version_is_passed_over(plan):
    record_measurement(StandInStack(plan, pid=os.getpid()))
    kept = measurements_file().read_bytes()
    older = {key: value for key, value in json.loads(kept).items() if key != "terms"}
    measurements_file().write_bytes(b'{"other": 1}\n' + json.dumps(older).encode() + b"\n" + kept)
    assert [one.terms for one in read_measurements()] == [(), ()]


def test_a_described_machine_has_no_experience(plan, facts):
    record_measurement(StandInStack(plan, pid=os.getpid()))
    assert experience_of(facts) == ()
    assert len(experience_of(msgspec.structs.replace(facts, simulated=False))) == 1


def test_ollama_tells_its_model_where_no_process_can_be_seen(plan_on_a_card):
    plan = plan_on_a_card(backend="ollama")
    with replaying(Replay("ready_on_gpu")) as ollama:
        answers = ollama.answers[("GET", "/api/ps", "null")]
        answers.pop(0)  # before the model was loaded
        served = answers[0]["body"]["models"][0]
        named = msgspec.structs.replace(plan, served_name=served["name"])
        measured = record_measurement(StandInStack(named, url=ollama.url, pid=GONE))
    assert measured is not None
    assert (measured.measured_bytes, measured.method) == (served["size_vram"], "Ollama /api/ps")
    assert {term.name: term.measured_bytes for term in measured.terms} == {
        "size": served["size"],
        "size_vram": served["size_vram"],
    }
    assert all((term.predicted_bytes or 0) > plan.weights.bytes for term in measured.terms)


def test_what_vllm_measured_on_a_card_comes_before_the_prediction(plan_on_a_card, monkeypatch):
    from orchestrator.facts import usage

    monkeypatch.setattr(usage, "gpu_bytes", lambda pid, uuid: 11 * 2**30)  # no card here
    first = plan_on_a_card()
    measured = record_measurement(StandInStack(first, VLLM_ON_A_CARD, pid=1))
    assert measured.predicted_bytes == first.memory.need_bytes  # vLLM takes its whole share
    second = plan_on_a_card((measured,))
    before, after = ({term.name: term for term in plan.memory.terms} for plan in (first, second))
    assert after["activations"].bytes == int(0.43 * 2**30) < before["activations"].bytes
    assert after["cuda graphs"].bytes == int(0.61 * 2**30)
    assert "on this machine" in after["weights"].source
    assert after["kv cache"] == before["kv cache"]
    assert second.gpu_memory_share < first.gpu_memory_share
    other = plan_on_a_card((measured,), batched_tokens=2048)
    assert "on this machine" not in {term.name: term for term in other.memory.terms}["activations"].source
