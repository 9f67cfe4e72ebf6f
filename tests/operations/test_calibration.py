import os

import pytest

from orchestrator.catalog.models import models
from orchestrator.facts.read import read_facts
from orchestrator.operations.calibration import history_result, measurements_file, read_measurements, record_measurement
from orchestrator.operations.deciding import decision_for
from orchestrator.plan.simulate import with_all_sources
from orchestrator.plan.spec import Spec


@pytest.fixture
def plan(monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    facts = with_all_sources(read_facts(offline=True, engine="native"))
    if facts.gpu.gpus:
        pytest.skip("this test is about a machine without a card")
    return decision_for(Spec(model="all-minilm-l6-v2", services=("embeddings",)), facts).plan


def test_the_use_of_a_process_is_kept_and_compared(plan):
    measured = record_measurement(plan, os.getpid())
    assert measured is not None
    assert 10_000_000 < measured.measured_bytes < 10**10
    (one,) = history_result().data["history"]
    assert one.measured_bytes == measured.measured_bytes
    assert models()[plan.model].id in one.what


def test_a_process_that_has_gone_leaves_nothing(plan):
    assert record_measurement(plan, 2**22 + 1) is None
    assert record_measurement(plan, None) is None
    assert read_measurements() == ()


def test_a_line_of_another_version_is_passed_over(plan):
    record_measurement(plan, os.getpid())
    measurements_file().write_bytes(b'{"other": 1}\n' + measurements_file().read_bytes())
    assert len(read_measurements()) == 1
