import threading
import time

import pytest

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed, warned
from orchestrator.doctor.runner import AT_ONCE, blocker_of, run_checks
from orchestrator.errors import OrchestratorError
from orchestrator.plan.spec import Spec


def check(name, answer, needs=(), severity="fail", timeout_s=5.0, stage="host"):
    return Check(
        id=name, area="host", question=f"Is {name} well?", reads=(name,), needs=needs, severity=severity,
        answer=answer, timeout_s=timeout_s, stage=stage,
    )  # fmt: skip


def well(context):
    return passed("42")


def ill(context):
    return bad("41", "it is 41", "make it 42", "set 42")


def boom(context):
    raise OrchestratorError("boom", "it burst")


def verdicts(findings):
    return {finding.id: finding.verdict for finding in findings}


def test_findings_come_in_the_order_of_the_checks_with_all_they_have(context):
    findings = run_checks([check("b", ill), check("a", well)], context())
    assert [finding.id for finding in findings] == ["b", "a"]
    assert findings[0].question == "Is b well?"
    assert (findings[0].evidence, findings[0].reason) == ("41", "it is 41")
    assert findings[0].remedy.commands == ("set 42",)
    assert findings[0].docs == "docs/checks.md#b"


def test_bad_is_what_the_check_says_it_is(context):
    findings = run_checks(
        [check("f", ill), check("w", ill, severity="warn"), check("x", lambda c: warned("1", "r", "do"))], context()
    )
    assert verdicts(findings) == {"f": "fail", "w": "warn", "x": "warn"}


def test_one_cause_gives_one_failure_and_skips_that_name_it(context):
    checks = [
        check("a", ill),
        check("b", boom, needs=("a",)),
        check("c", boom, needs=("b",)),
        check("d", well),
        check("e", well, needs=("d",)),
    ]
    findings = run_checks(checks, context())
    assert verdicts(findings) == {"a": "fail", "b": "skip", "c": "skip", "d": "pass", "e": "pass"}
    assert findings[1].evidence == findings[2].evidence == "blocked by a"


def test_a_warning_does_not_block_and_an_error_does(context):
    checks = [
        check("w", ill, severity="warn"),
        check("behind-w", well, needs=("w",)),
        check("e", boom),
        check("behind-e", well, needs=("e",)),
        check("n", lambda c: not_applicable("not here")),
        check("behind-n", well, needs=("n",)),
    ]
    assert verdicts(run_checks(checks, context())) == {
        "w": "warn", "behind-w": "pass", "e": "error", "behind-e": "skip", "n": "skip", "behind-n": "skip",
    }  # fmt: skip


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        True,
        "pass",
        Answer(verdict="green"),
        Answer(verdict="pass"),
        Answer(verdict="bad", evidence="1"),
        Answer(verdict="bad", evidence="1", reason="why"),
        Answer(verdict="error", reason="cheating"),
    ],
)
def test_nonsense_is_an_error_with_its_own_id(context, nonsense):
    findings = run_checks([check("odd", lambda c: nonsense), check("good", well)], context())
    assert verdicts(findings) == {"odd": "error", "good": "pass"}
    assert findings[0].reason


def test_what_a_check_raises_is_an_error_also_an_exit(context):
    def leaves(context):
        raise SystemExit(0)

    findings = run_checks([check("boom", boom), check("exit", leaves), check("good", well)], context())
    assert verdicts(findings) == {"boom": "error", "exit": "error", "good": "pass"}
    assert "it burst" in findings[0].reason
    assert "test_runner.py, line" in findings[0].evidence
    assert all(finding.remedy.text for finding in findings[:2])


def test_an_error_of_ours_keeps_its_remedy(context):
    def lost(context):
        raise OrchestratorError("unreachable", "no answer", remedy="start it")

    (finding,) = run_checks([check("a", lost)], context())
    assert (finding.verdict, finding.remedy.text) == ("error", "start it")


def test_a_check_that_hangs_ends_and_the_rest_goes_on(context):
    never = threading.Event()
    began = time.monotonic()
    findings = run_checks(
        [
            check("hangs", lambda c: never.wait(30), timeout_s=0.2),
            check("behind", well, needs=("hangs",)),
            check("good", well),
        ],
        context(),
    )
    assert time.monotonic() - began < 3
    never.set()
    assert verdicts(findings) == {"hangs": "error", "behind": "skip", "good": "pass"}
    assert "0.2 s" in findings[0].reason


def test_independent_checks_run_side_by_side(context):
    meet = threading.Barrier(5)

    def together(context):
        meet.wait(5)
        return passed("met")

    assert set(verdicts(run_checks([check(str(n), together) for n in range(5)], context())).values()) == {"pass"}


def test_never_more_than_the_limit_at_once(context):
    now, most, lock = [0], [0], threading.Lock()

    def counted(context):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        return passed("counted")

    run_checks([check(str(n), counted) for n in range(3 * AT_ONCE)], context())
    assert 1 < most[0] <= AT_ONCE


def test_needs_in_a_circle_are_errors(context):
    checks = [check("a", well, needs=("b",)), check("b", well, needs=("a",)), check("c", well)]
    assert verdicts(run_checks(checks, context())) == {"a": "error", "b": "error", "c": "pass"}


def test_a_need_that_is_not_asked_is_taken_to_hold(context):
    assert verdicts(run_checks([check("a", well, needs=("elsewhere",))], context())) == {"a": "pass"}


def test_the_observer_hears_each_once_as_it_comes(context):
    heard = []
    checks = [check("slow", lambda c: (time.sleep(0.3), passed("late"))[1]), check("quick", well), check("x", boom)]
    run_checks(checks, context(), heard.append)
    assert sorted(finding.id for finding in heard) == ["quick", "slow", "x"]
    assert heard[-1].id == "slow"


def test_a_check_of_the_plan_is_skipped_without_one(context):
    findings = run_checks([check("p", boom, stage="plan")], context(plan=None))
    assert verdicts(findings) == {"p": "skip"}


def test_no_checks_no_findings(context):
    assert run_checks([], context()) == ()


def test_a_check_of_the_stack_is_skipped_without_one(context):
    (finding,) = run_checks([check("s", boom, stage="stack")], context())
    assert finding.verdict == "skip"
    assert finding.reason == "no stack named default runs here"


def test_the_starter_hears_of_each_before_its_answer_and_of_no_skip(context):
    heard = []
    checks = [check("a", well), check("b", ill, needs=("a",)), check("c", boom, needs=("b",))]
    run_checks(checks, context(), lambda found: heard.append(("ends", found.id)), starting=lambda c: heard.append(c.id))
    assert heard == ["a", ("ends", "a"), "b", ("ends", "b"), ("ends", "c")]


def test_known_findings_stand_in_for_needs_that_are_not_asked(context):
    known = run_checks([check("good", well), check("poor", ill), check("behind", boom, needs=("poor",))], context())
    checks = [check("1", well, needs=("good",)), check("2", boom, needs=("poor",)), check("3", boom, needs=("behind",))]
    findings = run_checks(checks, context(), known=known)
    assert verdicts(findings) == {"1": "pass", "2": "skip", "3": "skip"}
    assert [blocker_of(finding) for finding in findings] == [None, "poor", "poor"]


def test_an_earlier_answer_does_not_count_while_the_check_is_asked_again(context):
    known = run_checks([check("a", ill), check("b", well, needs=("a",))], context())
    assert verdicts(run_checks([check("a", well), check("b", well, needs=("a",))], context(), known=known)) == {
        "a": "pass",
        "b": "pass",
    }


def test_what_a_remedy_tells_to_type_is_of_this_stack(context):
    def advises(context):
        return bad("1", "so", "see `orchestrator up --help`; orchestrator status", "orchestrator logs webui", "ls")

    (finding,) = run_checks([check("a", advises)], context(spec=Spec(stack="team")))
    assert finding.remedy.text == "see `orchestrator up --help`; orchestrator status --stack team"
    assert finding.remedy.commands == ("orchestrator logs --stack team webui", "ls")
    (plain,) = run_checks([check("a", advises)], context())
    assert plain.remedy.commands == ("orchestrator logs webui", "ls")
