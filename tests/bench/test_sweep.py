"""The loads of a sweep, and where a curve ends."""

import pytest

from orchestrator.bench.records import Load
from orchestrator.bench.sweep import Axes, curves, is_flat


def test_a_curve_per_length_and_batch_with_the_load_rising() -> None:
    axes = Axes(tokens=("32", "chunk"), batches=(1, 8), concurrencies=(16, 1, 4))
    made = [[(load.tokens, load.batch, load.concurrency) for load in curve] for curve in curves(Load(), axes)]
    assert made[0] == [("32", 1, 1), ("32", 1, 4), ("32", 1, 16)]
    assert [curve[0][:2] for curve in made] == [("32", 1), ("32", 8), ("chunk", 1), ("chunk", 8)]


def test_rates_take_the_place_of_concurrency() -> None:
    axes = Axes(tokens=("32",), batches=(1,), concurrencies=(1, 2), rates=(50.0, 10.0))
    (curve,) = curves(Load(arrival="poisson", concurrency=64), axes)
    assert [(load.rate, load.concurrency) for load in curve] == [(10.0, 64), (50.0, 64)]


@pytest.mark.parametrize(
    ("docs_per_s", "flat"),
    [
        ([], False),
        ([10], False),
        ([10, 10], False),
        ([10, 10, 10], True),
        ([10, 20, 40], False),
        ([10, 20, 20.1, 19.9], True),
        ([10, 20, 20.1, 25], False),
        ([10, 20, 5, 4], True),
    ],
)
def test_a_curve_ends_when_two_loads_bring_nothing(docs_per_s: list[float], flat: bool) -> None:
    assert is_flat(docs_per_s) == flat
