"""Figures from raw requests, and what they must not claim."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.bench.statistics import (
    blocks_of,
    decorrelated,
    interval_of,
    lag_one,
    latency_of,
    needed_for,
    rate_over_time,
    statistics_of,
    steadiness_of,
    student,
)
from tests.bench.runs import closed_loop, requests_of, run_of


def test_counts_documents_that_came_back_right_within_the_measured_time():
    figures = statistics_of(run_of())
    assert figures.docs_per_s == pytest.approx(1600, rel=0.01)
    assert figures.tokens_per_s == pytest.approx(1600 * 32, rel=0.01)
    assert figures.requests == 1000  # none of the warm-up's
    assert figures.errors == 0
    assert figures.measured_s == 20.0


@pytest.mark.parametrize("outcome", ["wrong", "refused", "limited", "timed_out", "dropped"])
def test_only_right_answers_are_throughput(outcome):
    times = np.arange(-3.0, 20.0, 0.02)
    requests = requests_of(times, 0.1, outcomes=["ok" if i % 2 else outcome for i in range(len(times))])
    figures = statistics_of(run_of(requests))
    assert figures.docs_per_s == pytest.approx(800, rel=0.01)
    assert figures.outcomes[outcome] == 500
    assert figures.error_share == 0.5


def test_a_stall_shows_from_the_intended_time_on():
    """A server that stops for two seconds: requests that the pacer wanted sent meanwhile waited, too."""
    times = np.arange(0.0, 20.0, 0.02)
    waits = np.where((times >= 10) & (times < 12), 12.0 - times, 0.0) + 0.01
    latency = statistics_of(run_of(requests_of(times, waits))).latency
    assert latency.p99 == pytest.approx(1800, rel=0.03)
    assert latency.max == pytest.approx(2010, rel=0.01)


def test_a_time_out_counts_as_the_time_it_waited_and_a_refusal_not_at_all():
    times = np.arange(0.0, 20.0, 0.02)
    late = requests_of(times, np.where(np.arange(1000) % 20 == 0, 5.0, 0.1), outcomes=["timed_out", *["ok"] * 19] * 50)
    assert statistics_of(run_of(late)).latency.p99 == pytest.approx(5000)
    fast = requests_of(times, np.where(np.arange(1000) % 2 == 0, 0.001, 0.1), outcomes=["refused", "ok"] * 500)
    assert statistics_of(run_of(fast)).latency.p50 == pytest.approx(100)


def test_percentiles_need_as_many_requests_as_mlperf_asks_for():
    assert [needed_for(p) for p in (0.5, 0.9, 0.95, 0.99)] == [11, 64, 130, 662]


@pytest.mark.parametrize(
    ("n", "known"),
    [(10, ()), (11, ("p50",)), (64, ("p50", "p90")), (661, ("p50", "p90", "p95")), (662, ("p50", "p90", "p95", "p99"))],
)
def test_a_percentile_that_the_sample_does_not_allow_is_none(n, known):
    latency = latency_of(np.linspace(1, 100, n))
    assert tuple(name for name in ("p50", "p90", "p95", "p99") if getattr(latency, name) is not None) == known


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_percentiles_are_observed_values_in_order(spent):
    latency = latency_of(np.array(spent * needed_for(0.99)))
    assert latency.p50 <= latency.p90 <= latency.p95 <= latency.p99 <= latency.max
    assert {latency.p50, latency.p99} <= set(spent)


@pytest.mark.parametrize(("degrees", "value"), [(7, 2.3646), (9, 2.2622), (15, 2.1314), (31, 2.0395), (1000, 1.9623)])
def test_students_quantile(degrees, value):
    assert student(0.95, degrees) == pytest.approx(value, rel=2e-3)


def test_the_interval_covers_the_true_rate():
    """Eight clients whose requests take 0.2 s on average: 40 requests and 1280 documents a second, in the long run."""
    covered = sum(
        1280.0 in statistics_of(run_of(closed_loop(seed))).docs_per_s_interval for seed in range(200)
    )  # 95 % of 200 is 190; fewer than 180 happens by chance once in 10,000 times
    assert covered >= 180


def test_the_interval_covers_the_true_rate_of_correlated_blocks():
    """An AR(1) process with correlation 0.6: as if nothing were joined, the plain interval covers in 68 % only."""
    covered = plain = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        noise = draw.normal(0, 50, 128 + 50)
        series = np.zeros_like(noise)
        for i in range(1, len(noise)):
            series[i] = 0.6 * series[i - 1] + noise[i]
        blocks = 1000 + series[50:]
        covered += 1000.0 in interval_of(decorrelated(blocks), 20.0)
        half = student(0.95, 127) * blocks.std(ddof=1) / math.sqrt(128)
        plain += abs(blocks.mean() - 1000) <= half
    assert plain / 300 < 0.8
    assert covered / 300 > 0.88


def test_joining_removes_correlation_and_keeps_the_mean():
    slow = 1000 + 100 * np.sin(np.arange(32) / 2)
    joined = decorrelated(slow)
    assert len(joined) in (8, 16)
    assert joined.mean() == pytest.approx(slow.mean())
    assert lag_one(np.full(8, 5.0)) == 0.0


def test_too_few_requests_give_no_interval_and_no_steadiness():
    figures = statistics_of(run_of(requests_of(np.arange(0.0, 20.0, 2.0), 0.5)))
    assert figures.docs_per_s == pytest.approx(16)
    assert figures.docs_per_s_interval is None
    assert figures.steadiness.state == "unknown"


def test_a_run_without_a_single_answer():
    figures = statistics_of(run_of(requests_of(np.arange(0.0, 20.0, 0.5), 30.0, outcomes="timed_out")))
    assert figures.docs_per_s == 0
    assert figures.outcomes["timed_out"] == figures.errors == 40
    assert statistics_of(run_of(requests_of([], []))).requests == 0


@pytest.mark.parametrize(
    ("rates", "state"),
    [
        (np.full(16, 100.0), "steady"),
        (100 + np.tile([-5.0, 5.0], 8), "steady"),
        (np.linspace(50, 150, 16), "drifting"),
        (np.linspace(150, 50, 16), "drifting"),
        (np.linspace(100, 101, 16), "steady"),  # a trend without doubt, but one that changes no decision
        (np.concatenate([np.full(8, 100.0), [0.0], np.full(7, 100.0)]), "steady"),  # one stall is no trend
        (np.full(5, 100.0), "unknown"),
    ],
)
def test_steadiness(rates, state):
    assert steadiness_of(rates).state == state


def test_a_run_that_was_cut_short_is_counted_by_the_time_it_had():
    figures = statistics_of(run_of(requests_of(np.arange(0.0, 5.0, 0.02), 0.1)))
    assert figures.measured_s == pytest.approx(5.08)
    assert figures.docs_per_s == pytest.approx(1600, rel=0.03)


def test_the_time_line_adds_up_to_the_throughput():
    run = run_of(closed_loop(1))
    assert rate_over_time(run, 40).mean() == pytest.approx(statistics_of(run).docs_per_s)
    assert blocks_of(run).mean() == pytest.approx(statistics_of(run).docs_per_s, rel=0.02)
