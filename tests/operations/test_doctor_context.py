"""What `doctor` looks at: the stack of that name, a fresh plan where there is none, or the reason why there is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.engines.native import NativeEngine
from orchestrator.errors import OrchestratorError
from orchestrator.operations import doctor_context
from orchestrator.operations.doctor_context import context_of, machine_context
from orchestrator.operations.planning import pins_hash
from orchestrator.operations.record import Intent, write_intent
from orchestrator.operations.secrets import ensure_secrets
from orchestrator.plan.records import Decision, Throughput
from orchestrator.plan.spec import Spec
from orchestrator.state import StackFolder, locked
from tests.plans import plan_of


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.setattr(NativeEngine, "observe", lambda self: ())


@pytest.fixture
def folder():
    """A native stack that was planned; nothing of it runs."""
    made = StackFolder("default")
    throughput = Throughput(
        target_docs_per_s=1, tokens_per_doc=1, ceiling_docs_per_s=None, expected_docs_per_s=None, verdict="unknown"
    )
    decision = Decision(plan=plan_of(engine="native"), rejected=(), throughput=throughput)
    spec = Spec(max_length=200)
    write_intent(
        made,
        Intent(
            spec=spec, decision=decision, pins_hash=pins_hash(), tool_version="0", decided_at=datetime.now(UTC)
        ),
    )  # fmt: skip
    ensure_secrets(made)
    return made


def test_a_stack_is_taken_as_it_was_planned(folder):
    context = context_of("default", offline=True)
    assert context.spec.max_length == 200
    assert context.planned.engine == "native"
    assert context.facts.docker.error.code == "not_asked"
    assert {service.role for service in context.services} == {"vectors", "embeddings", "webui"}
    view = context.existing
    assert view.plan_is_current
    assert view.addresses.webui == "http://127.0.0.1:3000"
    assert view.desired.embedding_url == "http://127.0.0.1:8001/v1"


def test_no_secret_shows_in_what_it_shows(folder):
    context = context_of("default", offline=True)
    key = context.existing.keys().embeddings
    assert key
    assert key not in repr(context)
    assert context.existing.redact(f"key={key}") == "key=<secret>"


def test_the_lock_is_not_waited_for(folder):
    view = context_of("default", offline=True).existing
    with locked(folder, "up", wait_s=0), pytest.raises(OrchestratorError) as caught, view.alone():
        pass
    assert caught.value.code == "locked"
    assert "orchestrator up" in caught.value.message


def test_rendering_writes_what_the_plan_wants(folder):
    view = context_of("default", offline=True).existing
    view.render()
    for file in view.files:
        assert (folder.rendered / file.path).read_text() == file.text


def test_without_a_stack_there_is_a_plan_all_the_same(tmp_path):
    context = context_of("another", offline=True)
    assert context.stack is None
    assert context.plan is not None or context.no_plan.startswith("no plan fits")
    assert not (tmp_path / "stacks").exists()


def test_the_reason_for_no_plan_is_kept(monkeypatch):
    def nothing_fits(spec, facts):
        raise OrchestratorError("no_plan", "nothing fits here")

    monkeypatch.setattr(doctor_context, "decision_for", nothing_fits)
    context = context_of("another", offline=True)
    assert context.plan is None
    assert "nothing fits here" in context.no_plan


def test_the_machine_alone():
    context = machine_context(offline=True)
    assert context.plan is None
    assert context.stack is None


def test_a_damaged_plan_is_no_missing_one(folder):
    folder.plan_file.write_text("{")
    with pytest.raises(OrchestratorError) as caught:
        context_of("default")
    assert caught.value.code == "state_damaged"
