import pytest

from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.check import Check, Fix, bad, passed
from orchestrator.doctor.fixing import apply_fixes
from orchestrator.doctor.repeating import Rounds
from orchestrator.doctor.watch import Silent
from orchestrator.errors import OrchestratorError


class Told(Silent):
    """In the order in which things happen."""

    def __init__(self):
        self.happened = []

    def ends(self, finding):
        self.happened.append((finding.id, finding.verdict))

    def fixes(self, check, fix):
        self.happened.append((check.id, fix.text))


@pytest.fixture
def broken():
    """What is broken on this machine; a fix takes it out."""
    return {"a"}


def check(name, broken, *, fix=None, needs=(), severity="fail"):
    def answer(context):
        return bad("ill", "it is ill", "heal it", "sudo heal") if name in broken else passed("well")

    return Check(
        id=name, area="host", question="Is it?", reads=("it",), needs=needs, severity=severity, answer=answer,
        fix=Fix(text=f"heal {name}", apply=fix) if fix else None,
    )  # fmt: skip


def healing(name, broken, told=None):
    def apply(context):
        if told is not None:
            told.happened.append((name, "applied"))
        broken.discard(name)

    return apply


def fixed(context, checks, told=None):
    told = told or Told()
    rounds = Rounds(checks=checks, look=context, watch=told)
    before = rounds.first(lambda finding: None)
    after = apply_fixes(before, rounds)
    assert [finding.id for finding in after] == [finding.id for finding in before]
    return {finding.id: finding for finding in after}, told


def verdicts(findings):
    return {name: finding.verdict for name, finding in findings.items()}


def test_a_fix_is_told_applied_and_proven_in_this_order(context, broken):
    told = Told()
    found, _ = fixed(context, [check("a", broken, fix=healing("a", broken, told))], told)
    assert verdicts(found) == {"a": "fixed"}
    assert found["a"].evidence == "well"
    assert found["a"].reason == "it was: ill"
    assert told.happened == [("a", "heal a"), ("a", "applied"), ("a", "fixed")]


def test_a_warning_is_fixed_too(context, broken):
    found, _ = fixed(context, [check("a", broken, fix=healing("a", broken), severity="warn")])
    assert verdicts(found) == {"a": "fixed"}


def test_what_was_blocked_is_asked_then(context, broken):
    broken.add("b")
    checks = [
        check("a", broken, fix=healing("a", broken)),
        check("b", broken, needs=("a",)),
        check("c", broken, needs=("a",)),
        check("d", broken),
    ]
    found, told = fixed(context, checks)
    assert verdicts(found) == {"a": "fixed", "b": "fail", "c": "pass", "d": "pass"}
    assert ("d", "pass") not in told.happened  # nothing of it has changed


def test_a_fix_that_comes_to_light_behind_another_is_applied_too(context, broken):
    broken.add("b")
    checks = [
        check("a", broken, fix=healing("a", broken)),
        check("b", broken, needs=("a",), fix=healing("b", broken)),
    ]
    assert verdicts(fixed(context, checks)[0]) == {"a": "fixed", "b": "fixed"}


def test_a_fix_that_helps_nothing_is_still_failing_and_not_tried_again(context, broken):
    applied = []
    found, _ = fixed(context, [check("a", broken, fix=applied.append)])
    assert verdicts(found) == {"a": "fail"}
    assert found["a"].reason == "still not right after the fix: it is ill"
    assert found["a"].remedy.commands == ("sudo heal",)
    assert len(applied) == 1


@pytest.mark.parametrize("error", [OrchestratorError("locked", "`up` holds the lock"), PermissionError("no")])
def test_a_fix_that_fails_says_why_and_the_next_one_is_applied(context, broken, error):
    def fails(context):
        raise error

    broken.add("b")
    found, _ = fixed(context, [check("a", broken, fix=fails), check("b", broken, fix=healing("b", broken))])
    assert verdicts(found) == {"a": "fail", "b": "fixed"}
    assert "the fix failed" in found["a"].reason
    assert str(error) in found["a"].reason


def test_commands_for_people_are_never_run(context, broken):
    """A remedy without a fix leaves everything as it was."""
    found, told = fixed(context, [check("a", broken)])
    assert verdicts(found) == {"a": "fail"}
    assert told.happened == []


def test_nothing_wrong_nothing_applied(context):
    applied = []
    found, told = fixed(context, [check("a", set(), fix=applied.append)])
    assert (verdicts(found), applied, told.happened) == ({"a": "pass"}, [], [])


def test_every_fix_in_the_catalogue_says_what_it_does():
    for one in CHECKS:
        assert one.fix is None or one.fix.text.strip()
        assert one.fix is None or "sudo" not in one.fix.text
