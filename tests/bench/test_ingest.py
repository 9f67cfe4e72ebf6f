"""The pure parts of `bench ingest`; the way itself is driven in tests/integration/test_bench_ingest.py."""

import numpy as np
import pytest

from orchestrator.bench.ingest import DEFAULTS, Trip, Way, hops_of, judge, text_of
from orchestrator.bench.records import Series
from orchestrator.operations.bench_ingest import PLANNED, order_of
from orchestrator.wiring.settings import desired_settings
from tests.plans import plan_of

OURS = Way(name=PLANNED, batch=32, asynchronous=True, concurrent=4)


def series(name, values, step_s=0.1):
    return Series(name=name, unit="", time_s=np.arange(len(values)) * step_s, value=np.array(values, dtype=float))


def test_the_hops_follow_from_when_the_counters_grew():
    tokens = series("server.tokens", [7] * 6 + [20, 40, 60, 80] + [80] * 30)  # grows from 0.5 s to 0.9 s
    vectors = series("vectors.stored", [0] * 12 + [50, 100] + [100] * 26)  # all there at 1.3 s
    hops = hops_of(tokens, vectors, 1.5)
    assert (hops.reading_s, hops.embedding_s) == pytest.approx((0.5, 0.4))
    assert (hops.storing_s, hops.finishing_s) == pytest.approx((0.4, 0.2))


@pytest.mark.parametrize("seconds", [0.2, 1.0, 50.0])
def test_the_hops_add_up_whatever_was_seen(seconds):
    tokens = series("server.tokens", [0, 0, 5, 9, 9, 12, 12, 12])
    for vectors in (None, series("vectors.stored", [0, 0, 0]), series("vectors.stored", [0, 3])):
        hops = hops_of(tokens, vectors, seconds)
        parts = (hops.reading_s, hops.embedding_s, hops.storing_s, hops.finishing_s)
        assert sum(parts) == pytest.approx(seconds)
        assert min(parts) >= 0


def test_a_server_that_tells_nothing_gives_no_hops():
    assert hops_of(None, None, 3.0) is None
    assert hops_of(series("server.tokens", [4, 4, 4]), None, 3.0) is None


@pytest.mark.parametrize("size", [120, 240, 1000])
def test_the_text_has_one_paragraph_a_chunk_and_none_twice(size):
    paragraphs = text_of(300, size, seed=5).split("\n\n")
    assert len(set(paragraphs)) == 300
    assert all(size / 2 < len(paragraph) < size - 2 for paragraph in paragraphs)
    assert text_of(3, size, seed=5) != text_of(3, size, seed=6)


def test_ways_change_how_open_webui_asks_and_nothing_else():
    settings = desired_settings(plan_of(), "http://e:1", "k")
    changed = DEFAULTS.over(settings)
    assert (changed.embedding_batch_size, changed.embedding_concurrent_requests) == (1, 0)
    assert OURS.over(changed) == OURS.over(settings)
    assert changed.chunk_size == settings.chunk_size


def test_rounds_are_interleaved():
    assert [way.name == PLANNED for way in order_of(OURS, 2)] == [True, False, False, True]


def trip(way, seconds, longest=0.1, stalls=0):
    return Trip(way=way, chunks=100, seconds=seconds, hops=None, longest_health_s=longest, stalls=stalls)


@pytest.mark.parametrize(
    ("planned", "holds", "said"),
    [
        (trip(OURS, 2.0), True, "2.50 times the chunks/s"),
        (trip(OURS, 10.0), False, "0.50 times"),
        (trip(OURS, 2.0, longest=0.9, stalls=3), False, "3 answers of /health took longer than 0.5 s (longest 0.90 s)"),
    ],
)
def test_faster_and_still_answering(planned, holds, said):
    judgement = judge([planned], [trip(DEFAULTS, 5.0, longest=1.6, stalls=4)])
    assert judgement.holds is holds
    assert said in "; ".join(judgement.reasons)
