"""A plan that no longer fits its card, shares it, or whose rendered files are not the planned ones."""

from __future__ import annotations

import os

import msgspec
import pytest

from orchestrator.doctor.checks.drift import DRIFT
from orchestrator.doctor.checks.plan import NEIGHBOURS, UTILISATION
from orchestrator.facts.records import GpuFacts, GpuProcess
from orchestrator.operations.stack import stack_of
from orchestrator.plan.records import Memory
from orchestrator.state import StackFolder
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.conftest import CARD, facts_of
from tests.doctor.stack_view import running, view_of
from tests.plans import GIB, plan_of

# The share of the card


def on_a_card(**changes):
    return facts_of(gpu=GpuFacts(gpus=(msgspec.structs.replace(CARD, **changes),), driver="580.95", cuda="13.0"))


def test_the_share_of_a_healthy_plan_is_free(context):
    found = findings(context(plan=plan_of(gpu=True)), (UTILISATION,))["plan.util"]
    assert found.verdict == "pass"
    assert "0.8 of 12.00 GiB" in found.evidence


@pytest.mark.parametrize(("share", "free", "reason"), [(0.8, 9.3, "refuse"), (0.97, 11.9, "above 0.95")])
def test_a_share_that_vllm_will_not_get(context, share, free, reason):
    plan = plan_of(gpu=True, gpu_memory_share=share)
    made = context(plan=plan, facts=on_a_card(free_bytes=int(free * GIB)))
    assert changed(context(plan=plan_of(gpu=True)), made, (UTILISATION,)) == {"plan.util": "fail"}
    assert reason in findings(made, (UTILISATION,))["plan.util"].reason


def test_where_not_even_the_need_is_free_another_check_says_so(context):
    made = context(plan=plan_of(gpu=True), facts=on_a_card(free_bytes=3 * GIB))
    assert verdicts(made, (UTILISATION,)) == {"plan.util": "skip"}


def test_the_share_of_a_cpu_plan_is_one_of_its_memory_node(context):
    """Of which the kernel told 15 GiB when it was planned, and 30 now: what vLLM asks for has doubled."""
    plan = plan_of(memory=Memory(need_bytes=3 * GIB, free_bytes=5 * GIB, margin_bytes=2 * GIB, terms=()))
    planned, now = (
        msgspec.structs.replace(facts_of().host, node_total_bytes=total, node_available_bytes=5 * GIB)
        for total in (15 * GIB, 30 * GIB)
    )
    healthy, broken = (context(plan=plan, facts=facts_of(host=host)) for host in (planned, now))
    assert changed(healthy, broken, (UTILISATION,)) == {"plan.util": "fail"}


def test_what_the_own_server_holds_is_not_missed(context):
    made = context(plan=plan_of(gpu=True), facts=on_a_card(free_bytes=GIB), running=(running(),))
    assert verdicts(made, (UTILISATION,)) == {"plan.util": "pass"}


# Others on the card


def stacked(context, plan, **changes):
    services = stack_of(plan, StackFolder("default")).services
    return context(plan=plan, services=services, **changes)


def test_an_image_with_cuda_beside_the_embedding_server(context):
    healthy = stacked(context, plan_of(gpu=True))
    services = tuple(
        msgspec.structs.replace(each, image=f"{each.image}-cuda") if each.role == "webui" else each
        for each in healthy.services
    )
    broken = msgspec.structs.replace(healthy, services=services)
    assert changed(healthy, broken, (NEIGHBOURS,)) == {"plan.neighbours": "warn"}


def test_a_service_of_ours_that_holds_memory_of_the_card(context):
    """Its child works on the card: the process that NVML names is not the one that the engine started."""
    healthy = stacked(context, plan_of(gpu=True))
    held = on_a_card(processes=(GpuProcess(pid=os.getpid(), name="python3", used_bytes=GIB),))
    broken = msgspec.structs.replace(healthy, facts=held, running=(running("webui", pid=os.getppid()),))
    assert changed(healthy, broken, (NEIGHBOURS,)) == {"plan.neighbours": "warn"}
    assert "webui" in findings(broken, (NEIGHBOURS,))["plan.neighbours"].evidence


# Rendered files


@pytest.fixture(params=["compose", "native"])
def rendered(request, context):
    """A stack whose files were just written by its own engine."""
    plan = plan_of(engine=request.param)
    stack = stack_of(plan, StackFolder("default"))
    secrets = {"embeddings_api_key": "k" * 20, "webui_secret_key": "s" * 20}
    secrets |= dict.fromkeys(("webui_admin_email", "webui_admin_password", "webui_api_key"), "x" * 20)

    def render():
        stack.engine.write(stack.services, stack.files, secrets)

    render()
    return context(plan=plan, stack=view_of(files=stack.files, render=render))


def main_file(context):
    return context.folder.rendered / ("compose.yaml" if context.planned.engine == "compose" else "run/webui.sh")


def test_an_edited_file_is_told_with_its_difference_and_rendered_again(rendered):
    before = verdicts(rendered, (DRIFT,))
    assert before == {"plan.drift": "pass"}
    path = main_file(rendered)
    text = path.read_text()
    assert "RAG_EMBEDDING_BATCH_SIZE" in text
    path.write_text(text.replace("RAG_EMBEDDING_BATCH_SIZE", "RAG_EMBEDDING_BATCH"))
    assert changed(before, rendered, (DRIFT,)) == {"plan.drift": "warn"}
    evidence = findings(rendered, (DRIFT,))["plan.drift"].evidence
    assert path.name in evidence
    assert any(line.startswith("-") and "RAG_EMBEDDING_BATCH" in line for line in evidence.splitlines())
    assert any(line.startswith("+") and "RAG_EMBEDDING_BATCH_SIZE" in line for line in evidence.splitlines())
    DRIFT.fix.apply(rendered)
    assert changed(before, rendered, (DRIFT,)) == {}
    assert path.read_text() == text


def test_a_missing_file_and_another_mode(rendered):
    before = verdicts(rendered, (DRIFT,))
    path = main_file(rendered)
    mode = path.stat().st_mode & 0o777
    path.chmod(0o600)
    assert changed(before, rendered, (DRIFT,)) == {"plan.drift": "warn"}
    path.chmod(mode)
    assert changed(before, rendered, (DRIFT,)) == {}
    path.unlink()
    assert "missing" in findings(rendered, (DRIFT,))["plan.drift"].evidence


def test_an_edited_supervisord_configuration(context):
    plan = plan_of(engine="native")
    stack = stack_of(plan, StackFolder("default"))
    made = context(plan=plan, stack=view_of(files=stack.files))
    for file in stack.files:
        path = made.folder.rendered / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
        path.chmod(file.mode)
    before = verdicts(made, (DRIFT,))
    configuration = made.folder.rendered / "supervisord.conf"
    configuration.write_text(configuration.read_text().replace("autorestart=", "autorestart=false ;"))
    assert changed(before, made, (DRIFT,)) == {"plan.drift": "warn"}


def test_a_plan_of_another_version_of_this_tool(rendered):
    view = msgspec.structs.replace(rendered.stack, plan_is_current=False)
    older = msgspec.structs.replace(rendered, stack=view)
    assert changed(rendered, older, (DRIFT,)) == {"plan.drift": "warn"}
    assert "another version" in findings(older, (DRIFT,))["plan.drift"].reason
