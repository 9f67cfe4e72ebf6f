"""What a server does wrong gets its right name, and the run ends in bounded time whatever the server does."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.bench.fleet import twin_of
from orchestrator.bench.load import CODES
from tests.bench.conftest import Run
from tests.standins.misbehaving import STALL_S, Misbehaving

RIGHT = ["good", "as-numbers", "chunked", "no-keep-alive", "index-last", "no-usage"]


@pytest.mark.parametrize("behaviour", RIGHT)
def test_every_right_answer_is_right_in_whatever_shape(run: Run, behaviour: str) -> None:
    with Misbehaving(behaviour) as stub:
        ran = run(stub.url)
    assert ran.wrongs == ran.failures == {}
    assert set(ran.rows["outcome"]) == {CODES["ok"]}
    assert ran.rows["documents"].sum() == stub.documents > 0
    assert len(set(stub.texts)) == len(stub.texts)
    assert ran.measured.as_numbers == (behaviour == "as-numbers")
    told = -1 if behaviour == "no-usage" else 4 * 32
    assert set(ran.rows["tokens_counted"]) == {told}
    assert set(ran.rows["tokens_sent"]) == {4 * 32}


WRONG = {
    "nan": ("not_finite", "NaN or infinite numbers in vector 3 of 4"),
    "nan-as-numbers": ("not_finite", "NaN stands in the answer"),
    "swapped-index": ("order", "the indexes of an answer are 1, 0, 2, 3"),
    "halves-tokens": ("tokens", "128 tokens were sent in 4 documents, the server counted 64"),
    "other-model": ("model", "asked for 'stub', answered by 'another-model'"),
    "other-dimension": ("dimension", "vectors of 32 numbers; before the run they had 64"),
    "long-vectors": ("norm", "a vector has length 3.0000, not 1"),
    "one-missing": ("count", "3 vectors for 4 documents"),
    "no-json": ("not_json", "<html>a proxy's greeting"),
    "no-base64": ("not_base64", "an embedding is no base64"),
}


@pytest.mark.parametrize("behaviour", WRONG)
def test_a_wrong_answer_is_named(run: Run, behaviour: str) -> None:
    kind, example = WRONG[behaviour]
    with Misbehaving(behaviour) as stub:
        ran = run(stub.url)
    assert set(ran.wrongs) == {kind}
    assert example in ran.wrongs[kind]
    assert (ran.rows["outcome"] == CODES["wrong"]).any()
    assert ran.failures == {}


def test_the_same_vector_for_different_texts_is_found_after_the_run(run: Run) -> None:
    with Misbehaving("duplicates") as stub:
        ran = run(stub.url)
    twin = twin_of(ran.rows, [ran.measured], 10**9)
    assert twin is not None
    assert twin.kind == "duplicate"
    with Misbehaving("good") as stub:
        ran = run(stub.url)
    assert twin_of(ran.rows, [ran.measured], 10**9) is None


FAILING = {
    "limits": ("limited", 429, "HTTP 429, Retry-After 5 s: too many requests"),
    "limits-silently": ("limited", 429, "HTTP 429: too many requests"),
    "refuses": ("refused", 500, "HTTP 500: CUDA out of memory"),
    "drops": ("dropped", 0, "the server closed the connection instead of answering"),
    "half-body": ("dropped", 0, "of the body"),
    "never-ends": ("timed_out", 0, "no whole answer within 1 s (its answer had begun)"),
    "silent": ("timed_out", 0, "no whole answer within 1 s (nothing came)"),
}


@pytest.mark.parametrize("behaviour", FAILING)
def test_a_failed_request_has_its_outcome_and_the_run_ends(run: Run, behaviour: str) -> None:
    outcome, status, example = FAILING[behaviour]
    with Misbehaving(behaviour) as stub:
        ran = run(stub.url, timeout_s=1.0, duration_s=0.8)
    assert set(ran.failures) == {outcome}
    assert example in ran.failures[outcome]
    failed = ran.rows[ran.rows["outcome"] == CODES[outcome]]
    assert set(failed["status"]) == {status}
    assert ran.took_s < 10
    if behaviour not in ("refuses", "silent"):
        assert (ran.rows["outcome"] == CODES["ok"]).any()


def test_retry_after_is_kept_and_a_silent_refusal_is_not_hammered(run: Run) -> None:
    with Misbehaving("limits") as stub:
        patient = run(stub.url, duration_s=2.0, concurrency=1)
    assert list(patient.rows["outcome"]) == [CODES["ok"], CODES["ok"], CODES["limited"]]
    with Misbehaving("refuses") as stub:
        hammering = run(stub.url, duration_s=0.6, concurrency=1)
    assert len(hammering.rows) < 10


def test_nobody_there_is_an_outcome_too(run: Run) -> None:
    with Misbehaving("good") as stub:
        url = stub.url
    ran = run(url)
    assert "cannot connect" in ran.failures["dropped"]
    assert set(ran.rows["outcome"]) == {CODES["dropped"]}
    assert len(ran.rows) < 20
    assert ran.took_s < 10


def test_a_stall_shows_in_every_request_that_was_due_meanwhile(run: Run) -> None:
    """Open loop: a client that waited politely would have one slow request; the callers had many."""
    with Misbehaving("stalls-once") as stub:
        ran = run(stub.url, arrival="constant", rate=40.0, batch=1, duration_s=2.0, concurrency=4, timeout_s=5.0)
    took_s = ran.rows["done_s"] - ran.rows["intended_s"]
    since_sent_s = ran.rows["done_s"] - ran.rows["sent_s"]
    assert took_s.max() > 0.9 * STALL_S
    assert (took_s > 0.4).sum() > 20
    assert (since_sent_s > 0.4).sum() <= 8
    assert np.percentile(took_s, 99) > 0.8 * STALL_S


def test_a_schedule_that_the_server_cannot_keep_is_told(run: Run) -> None:
    with Misbehaving("silent") as stub:
        ran = run(stub.url, arrival="constant", rate=50.0, duration_s=0.5, timeout_s=0.2, concurrency=1)
    assert ran.measured.unsent > 10


def test_it_can_be_stopped_and_keeps_what_was_measured(run: Run) -> None:
    calls: list[int] = []

    def stops() -> bool:
        calls.append(1)
        return len(calls) > 5

    with Misbehaving("good") as stub:
        ran = run(stub.url, duration_s=30.0, stops=stops)
    assert ran.took_s < 5
    assert 0 < ran.measured.measured_s < 5
    assert len(ran.rows)


def test_ollamas_own_path(run: Run) -> None:
    with Misbehaving("good") as stub:
        ran = run(stub.url, api="ollama")
    assert ran.wrongs == ran.failures == {}
    assert set(ran.rows["outcome"]) == {CODES["ok"]}
    assert set(ran.rows["tokens_counted"]) == {4 * 32}


def test_the_key_is_sent_and_a_wrong_one_is_named(run: Run) -> None:
    with Misbehaving("good", key="secret-of-the-test") as stub:
        assert run(stub.url, key="secret-of-the-test").failures == {}
        assert run(stub.url, key="another").failures == {"refused": "HTTP 401: Unauthorized"}


def test_requests_of_the_warm_up_lie_before_zero(run: Run) -> None:
    with Misbehaving("good") as stub:
        ran = run(stub.url, warmup_s=0.3, duration_s=0.3)
    assert (ran.rows["intended_s"] < 0).any()
    assert (ran.rows["intended_s"] >= 0).any()
    assert ran.rows["intended_s"].min() >= -0.31
