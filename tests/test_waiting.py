from __future__ import annotations

import itertools

import pytest

from orchestrator.waiting import DeadlineError, wait_until


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds


def test_it_returns_the_seconds_waited() -> None:
    clock = Clock()
    answers = itertools.chain(["no", "not yet"], itertools.repeat(None))
    assert wait_until(lambda: next(answers), 10, clock=clock, pause=clock.pause) == pytest.approx(0.05 + 0.075)


def test_a_ready_probe_never_pauses() -> None:
    clock = Clock()
    wait_until(lambda: None, 10, clock=clock, pause=clock.pause)
    assert clock.pauses == []


def test_the_deadline_keeps_the_last_refusal() -> None:
    clock = Clock()
    reasons = itertools.chain(["refused"], itertools.repeat("answers 503"))
    with pytest.raises(DeadlineError) as late:
        wait_until(lambda: next(reasons), 3, clock=clock, pause=clock.pause)
    assert late.value.reason == "answers 503"
    assert late.value.waited_s == pytest.approx(3)


def test_pauses_grow_and_stay_bounded() -> None:
    clock = Clock()
    with pytest.raises(DeadlineError):
        wait_until(lambda: "no", 60, clock=clock, pause=clock.pause)
    assert clock.pauses[:3] == pytest.approx([0.05, 0.075, 0.1125])
    assert max(clock.pauses) <= 1.0


def test_a_probe_that_raises_ends_the_wait() -> None:
    def dead() -> str | None:
        raise RuntimeError("it died")

    with pytest.raises(RuntimeError, match="it died"):
        wait_until(dead, 60)
