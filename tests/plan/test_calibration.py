import msgspec
import pytest

from orchestrator.catalog.gpus import cards
from orchestrator.catalog.models import models
from orchestrator.catalog.pins import load_pins
from orchestrator.plan.calibration import compare, measurement_of, predicted_bytes
from orchestrator.plan.choose import choose
from orchestrator.plan.spec import Spec


def plan_with(facts, measured=()):
    return choose(Spec(), facts, models(), cards(), load_pins(), measured=measured).plan


def test_measured_values_come_first(bare):
    first = plan_with(bare)
    used = predicted_bytes(first.memory) + 500_000_000
    corrected = plan_with(bare, (measurement_of(first, used, "RSS", "2026-11-22T08:00:00"),))
    assert corrected.memory.need_bytes == first.memory.need_bytes + 500_000_000
    assert corrected.memory.terms[-1].name == "correction"
    assert "earlier run" in corrected.memory.terms[-1].source


def test_only_the_same_settings_count(bare):
    first = plan_with(bare)
    other = msgspec.structs.replace(measurement_of(first, 10**9, "RSS", "now"), max_length=128)
    assert plan_with(bare, (other,)).memory == first.memory


def test_a_corrected_plan_is_compared_with_its_own_prediction_not_with_the_correction(bare):
    first = plan_with(bare)
    second = plan_with(bare, (measurement_of(first, 10**9, "RSS", "now"),))
    assert predicted_bytes(second.memory) == predicted_bytes(first.memory)


def test_comparison(bare):
    plan = plan_with(bare)
    predicted = predicted_bytes(plan.memory)
    (found,) = compare([measurement_of(plan, predicted // 2, "RSS", "2026-11-22T08:00:00")])
    assert found.error == pytest.approx(1.0, rel=1e-6)
    assert "all-minilm-l6-v2, vllm (cpu) float32, 256 tokens, RSS" in found.what
