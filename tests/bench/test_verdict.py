"""One word for a run, and the reasons. The physics come from the planner; the figures are made by hand."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from orchestrator.bench.assessment import assess, bench_data
from orchestrator.bench.ceiling import ceiling_at, limits_of_plan
from orchestrator.bench.energy import energy_of
from orchestrator.bench.records import Goal, Limits, MeasuredPeak, Wrong
from orchestrator.bench.statistics import statistics_of
from orchestrator.catalog.gpus import cards
from orchestrator.catalog.models import models
from orchestrator.facts.records import Gpu
from orchestrator.plan.records import Weights, WeightsSource
from tests.bench.runs import CLIENT, requests_of, run_of, series_of
from tests.plans import GPU_UUID, plan_of
from tests.standins.nvml.build import environment

RTX_3060 = Gpu(
    index=0,
    uuid=GPU_UUID,
    name="NVIDIA GeForce RTX 3060",
    total_bytes=12288 * 2**20,
    used_bytes=0,
    free_bytes=12 * 2**30,
    compute_capability=(8, 6),
)
BF16 = Weights(
    format="safetensors", dtype="bfloat16", bytes=8_043_548_672, source=WeightsSource(kind="hub", reference="Qwen/x")
)
PRESET = Goal(docs_per_s=800, tokens_per_doc=32)
FAMILY = tuple(models()[name] for name in ("qwen3-embedding-0.6b", "qwen3-embedding-4b"))


def limits_of(goal=PRESET, gpu=RTX_3060, **changes):
    return limits_of_plan(plan_of(gpu=True, weights=BF16, **changes), gpu, goal, cards(), FAMILY)


def run_at(docs_per_s, **changes):
    """20 seconds at this rate, one document a request."""
    step = 1 / docs_per_s
    requests = requests_of(np.arange(-3, 20, step), 0.05, documents=1, tokens=changes.get("tokens", 32))
    return run_of(requests, **changes)


def verdict_of(run, goal=None):
    return assess(run, "runs/1", goal).verdict


def test_800_documents_a_second_of_4b_on_an_rtx_3060_are_impossible_with_the_numbers():
    verdict = verdict_of(run_at(60, limits=limits_of(), goal=PRESET))
    assert verdict.word == "impossible"
    assert verdict.exit_code == 1
    assert "109.5" in verdict.reason
    assert "25.5 TFLOPS" in verdict.reason
    assert "up to 4.4 tokens per document" in verdict.advice[0]
    assert any("qwen3-embedding-0.6b" in line for line in verdict.advice)


def test_the_ceiling_and_the_share_of_the_peak_come_from_the_roofline():
    ceiling = ceiling_at(limits_of(), 32, 60)
    assert ceiling.docs_per_s == pytest.approx(109.5, abs=0.1)
    assert ceiling.realistic_docs_per_s == pytest.approx(65.7, abs=0.1)
    assert ceiling.bound == "compute"
    assert ceiling.share_of_peak == pytest.approx(60 / 109.5, rel=0.01)
    assert ceiling_at(limits_of(), 128, 1).docs_per_s == pytest.approx(27.2, abs=0.1)


def test_few_tokens_a_pass_are_bound_by_the_memory():
    ceiling = ceiling_at(limits_of(batched_tokens=32), 32, 1)
    assert ceiling.bound == "memory bandwidth"
    assert ceiling.docs_per_s == pytest.approx(360e9 / BF16.bytes)


def test_a_slice_of_a_card_has_its_part_of_the_peak():
    slice_ = msgspec.structs.replace(RTX_3060, name="NVIDIA A100-SXM4-80GB MIG 3g.40gb", total_bytes=40 * 2**30)
    assert limits_of(gpu=slice_).peak_tflops == pytest.approx(312 * 3 / 7, rel=0.01)


def test_a_cpu_has_no_ceiling_until_it_was_measured():
    limits = limits_of_plan(plan_of(), None, Goal(), cards(), ())
    verdict = verdict_of(run_at(200, limits=limits, goal=Goal(docs_per_s=100)))
    assert verdict.word == "met"
    assert any("ceiling is not known: no peak is known for this processor" in note for note in verdict.notes)
    measured = MeasuredPeak(tflops=0.1, dtype="float32", basis="torch 2, 2 threads")
    known = msgspec.structs.replace(limits, measured=measured)
    ceiling = ceiling_at(known, 32, 50)
    assert ceiling.docs_per_s == pytest.approx(0.1e12 / ceiling.flops_per_doc)
    assert ceiling.share_of_peak is None
    assert ceiling.share_of_measured == pytest.approx(50 / ceiling.docs_per_s)
    at_peak = ceiling.docs_per_s
    assert verdict_of(run_at(50, limits=known, goal=Goal(docs_per_s=3 * at_peak))).word == "impossible"
    assert verdict_of(run_at(50, limits=known, goal=Goal(docs_per_s=1.5 * at_peak))).word == "missed"
    faster = verdict_of(run_at(1.5 * at_peak, limits=known))
    assert faster.word == "no_target"
    assert any("faster than the matrix product" in note for note in faster.notes)


def test_a_rate_beyond_the_peak_is_cached_or_mislabelled():
    verdict = verdict_of(run_at(120, limits=limits_of(), goal=Goal(docs_per_s=100)))
    assert verdict.word == "invalid"
    assert "more than the device has" in verdict.reason
    assert "cache" in verdict.reason


@pytest.mark.parametrize(
    ("goal", "word", "said"),
    [
        (Goal(docs_per_s=90), "met", "100.0 documents/s, 90 were asked for"),
        (Goal(docs_per_s=105), "missed", "100.0 documents/s, 105 were asked for"),
        (Goal(docs_per_s=90, p95_ms=60), "met", "p95 is 50.0 ms, 60 were allowed"),
        (Goal(p95_ms=40), "missed", "p95 is 50.0 ms, 40 were allowed"),
        (Goal(), "no_target", "nothing was asked for"),
        (Goal(docs_per_s=800, tokens_per_doc=128), "no_target", "nothing was asked for"),
    ],
)
def test_what_was_asked_for(goal, word, said):
    verdict = verdict_of(run_at(100, limits=limits_of(), goal=goal))
    assert (verdict.word, verdict.exit_code) == (word, 0 if word in ("met", "no_target") else 1)
    assert said in verdict.reason


def test_a_target_for_another_length_is_not_judged_and_says_so():
    verdict = verdict_of(run_at(20, tokens=128, limits=limits_of(), goal=PRESET))
    assert verdict.word == "no_target"
    assert any("is for 32 tokens per document; this run sent 128" in note for note in verdict.notes)


def test_p95_that_the_sample_does_not_allow_is_not_met():
    verdict = verdict_of(run_at(5, goal=Goal(p95_ms=1000)))
    assert verdict.word == "missed"
    assert "cannot be told from 100 requests (needs 130)" in verdict.reason


def test_errors_count_unless_they_were_allowed():
    times = np.arange(2000) / 100
    outcomes = ["limited" if i % 100 == 0 else "ok" for i in range(len(times))]
    run = run_of(requests_of(times, 0.05, documents=1, outcomes=outcomes))
    assert "20 of 2000 requests failed (20 limited): 1.00%, 0.00% were allowed" in verdict_of(run).reason
    allowed = verdict_of(run, Goal(max_errors=0.02))
    assert allowed.exit_code == 0
    assert any("20 limited" in note for note in allowed.notes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"client": msgspec.structs.replace(CLIENT, valid=False, reason="lag 80 ms")}, "the client, not the server"),
        ({"wrongs": (Wrong(kind="not_finite", count=3, example="NaN at 7"),)}, "not_finite (3 times): NaN at 7"),
    ],
)
def test_a_figure_that_cannot_be_believed_is_invalid_however_fast(changes, said):
    verdict = verdict_of(run_at(1000, goal=Goal(docs_per_s=1), **changes))
    assert (verdict.word, verdict.exit_code) == ("invalid", 1)
    assert said in verdict.reason


def test_a_server_that_never_answers_is_no_result():
    run = run_of(requests_of(np.arange(0, 20, 1.0), 30.0, outcomes="timed_out"))
    verdict = verdict_of(run)
    assert verdict.word == "invalid"
    assert "20 of 20 requests failed (20 timed out)" in verdict.reason


def test_notes_name_what_a_reader_must_know():
    run = run_at(
        100,
        limits=limits_of(),
        goal=Goal(docs_per_s=100),
        telemetry=(
            series_of("gpu.throttle", "bits", 0x4),
            series_of("server.prefix_cache_hits", "tokens", np.arange(104.0)),
        ),
        notes=("vectors came as JSON numbers",),
    )
    notes = " | ".join(verdict_of(run).notes)
    assert "vectors came as JSON numbers" in notes
    assert "slowed down during the run: software power cap" in notes
    assert "103 tokens came from the server's prefix cache" in notes
    assert "inside the interval" in notes


def test_joules_per_token_with_the_idle_draw_beside_them():
    power = np.where(np.arange(-6.0, 20.0, 0.25) < -3, 20.0, 170.0)
    run = run_at(100, telemetry=(series_of("gpu.power", "W", power),))
    energy = energy_of(run, statistics_of(run))
    assert energy.joules == pytest.approx(170 * 20, rel=0.01)
    assert energy.idle_w == 20
    assert energy.j_per_million_tokens == pytest.approx(170 / 3200 * 1e6, rel=0.01)
    assert energy.j_per_thousand_vectors == pytest.approx(1700, rel=0.01)
    assert energy.j_per_million_tokens_above_idle == pytest.approx(150 / 3200 * 1e6, rel=0.01)


def test_the_cards_own_counter_is_believed_before_samples():
    times = np.arange(-6.0, 20.5, 0.25)
    counter = series_of("gpu.energy", "J", 1e6 + 100 * times, end_s=20.5)
    run = run_at(100, telemetry=(counter, series_of("gpu.power", "W", 500.0)))
    energy = energy_of(run, statistics_of(run))
    assert energy.joules == pytest.approx(2000)
    assert "counter" in energy.source
    assert energy_of(run_at(100), statistics_of(run)) is None


def test_the_json_data_keeps_its_contract():
    data = bench_data(assess(run_at(100, limits=limits_of(), goal=PRESET), "bench/1"))
    promised = {
        "docs_per_s",
        "docs_per_s_interval",
        "tokens_per_s",
        "tokens_per_doc",
        "requests",
        "errors",
        "latency_ms",
        "client",
        "limits",
        "verdict",
        "run_dir",
    }
    assert promised <= set(data)
    assert {"p50", "p90", "p99"} <= set(data["latency_ms"])
    assert set(data["client"]) >= {"valid", "cpu_s", "reason"}
    assert data["docs_per_s_interval"][0] <= data["docs_per_s"] <= data["docs_per_s_interval"][1]
    assert data["run_dir"] == "bench/1"
    msgspec.json.encode(data)
    small = bench_data(assess(run_of(requests_of(np.arange(0, 20, 1.0), 0.5)), "bench/2"))
    assert small["latency_ms"]["p99"] is None
    assert small["latency_ms"]["p50"] == pytest.approx(500)


def test_limits_without_the_planners_words_still_name_the_length():
    limits = Limits(weights_flops_per_token=7.27e9, peak_tflops=25.5, peak_basis="a card")
    verdict = verdict_of(run_at(50, limits=limits), Goal(docs_per_s=800))
    assert verdict.word == "impossible"
    assert "up to 4.4 tokens" in verdict.advice[0]


THROUGH_NVML = """
import sys, msgspec
sys.path.insert(0, sys.argv[1])
from orchestrator.facts.gpu import read_gpus
from tests.bench.test_verdict import PRESET, limits_of, run_at, verdict_of
(gpu,) = read_gpus().gpus
sys.stdout.buffer.write(msgspec.json.encode(verdict_of(run_at(60, limits=limits_of(gpu=gpu), goal=PRESET))))
"""


def test_the_same_verdict_for_the_card_that_nvml_shows(standin_nvml):
    done = subprocess.run(
        [sys.executable, "-c", THROUGH_NVML, str(Path(__file__).parents[2])],
        env=environment(standin_nvml, "NVIDIA GeForce RTX 3060,12288,1,8,6"),
        capture_output=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["word"] == "impossible"
    assert "800 documents/s of 32 tokens lie above the ceiling of 109.5" in told["reason"]
