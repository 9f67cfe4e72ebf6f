"""The harness itself: a case that it lets through wrongly would let every broken machine through."""

import pytest

from orchestrator.doctor.check import Check, bad, passed
from tests.doctor.broken import changed, verdicts


def checks(asked):
    def runs(context):
        asked.append("runs")
        return bad("offline", "it is offline", "go online") if context.offline else passed("online")

    def behind(context):
        return passed("behind")

    def beside(context):
        return passed("beside")

    def record(name, answer, needs=()):
        return Check(
            id=name, area="host", question="Is it?", reads=("it",), needs=needs, severity="fail", answer=answer
        )

    return (record("runs", runs), record("behind", behind, ("runs",)), record("beside", beside))


def test_exactly_what_changed_its_verdict(context):
    assert changed(context(), context(offline=True), checks([])) == {"runs": "fail", "behind": "skip"}


def test_nothing_broken_nothing_changed(context):
    assert changed(context(), context(), checks([])) == {}


def test_the_same_healthy_context_is_asked_once(context):
    asked, healthy = [], context()
    mine = checks(asked)
    for _ in range(3):
        changed(healthy, context(offline=True), mine)
    assert len(asked) == 1 + 3


def test_a_machine_that_is_broken_between_two_looks(context, tmp_path):
    def there(_context):
        return passed("there") if not (tmp_path / "taken").exists() else bad("taken", "it is taken", "free it")

    mine = [Check(id="there", area="host", question="Is it?", reads=("it",), severity="warn", answer=there)]
    before = verdicts(context(), mine)
    (tmp_path / "taken").touch()
    assert changed(before, context(), mine) == {"there": "warn"}


def test_a_healthy_machine_on_which_a_check_breaks_is_no_measure(context):
    def boom(context):
        raise RuntimeError("boom")

    mine = [Check(id="boom", area="host", question="Is it?", reads=("it",), severity="fail", answer=boom)]
    with pytest.raises(AssertionError, match="boom"):
        changed(context(), context(), mine)
