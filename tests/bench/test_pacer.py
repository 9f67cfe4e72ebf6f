"""The pacer as a table: no clock, no waiting."""

from itertools import pairwise
from random import Random

import pytest

from orchestrator.bench.pacer import closed, constant, pacer_of, poisson_times, scheduled


@pytest.mark.parametrize(
    ("elapsed_s", "hits", "due_s"), [(0.0, 0, 0.0), (3.5, 100, 3.5), (9.999, 7, 9.999), (10.0, 7, None)]
)
def test_a_closed_loop_sends_at_once_until_its_end(elapsed_s: float, hits: int, due_s: float | None) -> None:
    assert closed(10.0)(elapsed_s, hits) == due_s


@pytest.mark.parametrize(
    ("elapsed_s", "hits", "due_s"), [(0.0, 0, 0.0), (0.0, 1, 0.25), (7.0, 1, 0.25), (0.0, 39, 9.75), (0.0, 40, None)]
)
def test_a_constant_rate_does_not_drift_with_what_passed(elapsed_s: float, hits: int, due_s: float | None) -> None:
    """A request that is late is still due when it was due: latency counts from there."""
    assert constant(4.0, 10.0)(elapsed_s, hits) == due_s


def test_a_schedule_ends_with_its_last_time() -> None:
    pacer = scheduled((0.5, 0.75))
    assert [pacer(0.0, hits) for hits in range(3)] == [0.5, 0.75, None]


def test_poisson_arrivals_have_the_rate_and_the_scatter_of_poisson() -> None:
    times = poisson_times(100.0, 200.0, Random(3))
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert list(times) == sorted(times)
    assert times[-1] < 200.0
    assert len(times) == pytest.approx(20_000, rel=0.05)
    assert deviation / mean == pytest.approx(1.0, abs=0.05)


def test_workers_share_a_rate() -> None:
    due = sorted(
        at
        for worker in range(4)
        for hits in range(25)
        if (at := pacer_of("constant", 10.0, 10.0, worker=worker, workers=4, seed=1)(0.0, hits)) is not None
    )
    assert due == pytest.approx([n / 10 for n in range(100)])


def test_two_workers_and_two_seeds_have_schedules_of_their_own() -> None:
    firsts = {pacer_of("poisson", 10.0, 10.0, worker=w, workers=2, seed=s)(0.0, 0) for w in (0, 1) for s in (1, 2)}
    assert len(firsts) == 4
