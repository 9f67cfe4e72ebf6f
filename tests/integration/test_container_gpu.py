"""`ctk.smoke` and `ctk.live` with the real engine, where it refuses every GPU: its own texts, and nothing left over."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from orchestrator.doctor.checks import container_gpu
from orchestrator.doctor.context import Context
from orchestrator.doctor.runner import run_checks
from orchestrator.facts.docker import read_docker
from orchestrator.facts.records import GpuFacts
from orchestrator.plan.spec import Spec
from tests.doctor.conftest import CARD, facts_of
from tests.integration.docker_fixtures import docker, has_image, import_small_image, remove_image, why_no_engine
from tests.plans import plan_of

NO_ENGINE = why_no_engine()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.skipif(NO_ENGINE is not None, reason=str(NO_ENGINE)),
]


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The planned reference, as a file system of one text: the engine answers before it would run anything of it."""
    reference = container_gpu.server_image(plan_of(gpu=True))
    if has_image(reference):
        pytest.skip(f"{reference} is here for real")
    import_small_image(reference)
    yield reference
    remove_image(reference)


@pytest.fixture
def planned() -> Context:
    facts = facts_of(gpu=GpuFacts(gpus=(CARD,), driver="580.95.05", cuda="13.0"), docker=read_docker())
    if facts.docker.gpu:
        pytest.skip("this engine has a way to hand over a GPU")
    return Context(spec=Spec(), facts=facts, plan=plan_of(gpu=True))


def test_without_the_image_nothing_is_pulled(planned: Context) -> None:
    if has_image(container_gpu.server_image(planned.planned)):
        pytest.skip("the image is here")
    (finding,) = run_checks((container_gpu.SMOKE,), planned)
    assert finding.verdict == "skip"
    assert "nothing is pulled" in finding.reason


def test_the_real_engine_refuses_and_the_cause_is_named(image: str, planned: Context) -> None:
    (finding,) = run_checks((container_gpu.SMOKE,), planned)
    assert finding.verdict == "fail"
    assert 'could not select device driver "nvidia" with capabilities: [[gpu]]' in finding.evidence
    assert "no NVIDIA container toolkit" in finding.reason
    assert "sudo nvidia-ctk runtime configure --runtime=docker" in finding.remedy.commands
    assert docker("ps", "--all", "--quiet", "--filter", "name=orchestrator-smoke-") == ""


def test_the_checks_before_it_say_so_first(planned: Context) -> None:
    findings = {finding.id: finding for finding in run_checks(container_gpu.CHECKS, planned)}
    first = "ctk.installed" if findings["ctk.installed"].verdict == "fail" else "ctk.runtime"
    assert findings[first].verdict == "fail"
    assert findings["ctk.smoke"].evidence == f"blocked by {first}"


def test_a_container_that_is_gone(planned: Context) -> None:
    gone = SimpleNamespace(role="embeddings", pid=None, container="orchestrator-no-such-container")
    answer = container_gpu.live(Context(spec=planned.spec, facts=planned.facts, plan=planned.plan, running=(gone,)))
    assert answer.verdict == "bad"
    assert "No such container" in answer.evidence
