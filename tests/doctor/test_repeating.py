"""`--wait` on a clock of its own: no test here waits."""

from itertools import count

from orchestrator.doctor.check import Check, bad, not_applicable, passed
from orchestrator.doctor.repeating import Rounds, run_until_settled
from orchestrator.doctor.watch import Silent


class Told(Silent):
    def __init__(self):
        self.ended, self.waited, self.started = [], [], []

    def starts(self, check):
        self.started.append(check.id)

    def ends(self, finding):
        self.ended.append((finding.id, finding.verdict))

    def waits(self, unsettled, left_s):
        self.waited.append(([finding.id for finding in unsettled], left_s))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def pause(self, seconds):
        self.now += seconds


def check(name, answer, needs=(), severity="fail"):
    return Check(id=name, area="host", question="Is it?", reads=("it",), needs=needs, severity=severity, answer=answer)


def well(context):
    return passed("well")


def ill(context):
    return bad("ill", "it is ill", "heal it")


def well_from(attempt):
    attempts = count(1)
    return lambda context: passed("well") if next(attempts) >= attempt else bad("ill", "it is ill", "heal it")


def settled(context, checks, wait_s, **more):
    told, clock, looks = Told(), Clock(), []

    def look():
        looks.append(clock.now)
        return context()

    rounds = Rounds(checks=checks, look=look, watch=told)
    findings = run_until_settled(rounds, wait_s=wait_s, clock=clock, pause=clock.pause, **more)
    return {finding.id: finding.verdict for finding in findings}, told, looks


def test_without_a_wait_everything_is_asked_once(context):
    found, told, looks = settled(context, [check("a", ill), check("b", well)], 0)
    assert found == {"a": "fail", "b": "pass"}
    assert sorted(told.started) == ["a", "b"]
    assert (len(looks), told.waited) == (1, [])


def test_what_fails_is_asked_until_it_passes_and_the_rest_only_once(context):
    checks = [check("late", well_from(4)), check("behind", well, ("late",)), check("good", well)]
    found, told, looks = settled(context, checks, 60)
    assert found == {"late": "pass", "behind": "pass", "good": "pass"}
    assert told.started.count("late") == 4
    assert told.started.count("good") == told.started.count("behind") == 1
    assert looks == [0, 1, 2, 3]  # each round looked at the machine anew
    assert told.waited[0] == (["late"], 60)


def test_only_the_last_word_of_each_is_told(context):
    checks = [check("late", well_from(3)), check("behind", well, ("late",)), check("good", well)]
    _found, told, _looks = settled(context, checks, 60)
    assert told.ended == [("good", "pass"), ("late", "pass"), ("behind", "pass")]


def test_time_over_it_fails_and_what_waits_behind_it_skips(context):
    checks = [check("never", ill), check("behind", well, ("never",)), check("absent", lambda c: not_applicable("no"))]
    found, told, looks = settled(context, checks, 2.5)
    assert found == {"never": "fail", "behind": "skip", "absent": "skip"}
    assert sorted(told.ended) == [("absent", "skip"), ("behind", "skip"), ("never", "fail")]
    assert looks == [0, 1, 2, 2.5]


def test_a_check_that_breaks_is_asked_again_too(context):
    attempts = count(1)

    def breaks_once(context):
        return passed("well") if next(attempts) > 1 else 1 / 0

    assert settled(context, [check("a", breaks_once)], 5)[0] == {"a": "pass"}


def test_a_warning_is_waited_for_only_where_it_fails_the_run(context):
    checks = [check("w", ill, severity="warn")]
    assert settled(context, checks, 5)[2] == [0]
    assert len(settled(context, checks, 5, unsettled=("fail", "warn", "error"))[2]) == 6


def test_a_second_cause_still_blocks_what_waits_for_both(context):
    """`both` must not be asked because the first of its needs came right."""
    checks = [check("late", well_from(2)), check("never", ill), check("both", well, ("late", "never"))]
    found, told, _looks = settled(context, checks, 3)
    assert found == {"late": "pass", "never": "fail", "both": "skip"}
    assert "both" not in told.started
