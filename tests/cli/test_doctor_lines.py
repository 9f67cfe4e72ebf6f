"""Lines for people, as text: pure, without a terminal."""

import pytest

from orchestrator.cli.doctor_lines import Group, Style, area_lines, finding_lines, summary_lines
from orchestrator.doctor.check import Check, Fix, passed
from orchestrator.result import Finding, Remedy

WIDE = Style()
NARROW = Style(width=60)


def check(name, **more):
    return Check(
        id=name, area="docker", question=f"Is {name} well?", reads=("it",), severity="fail",
        answer=lambda context: passed("it"), **more,
    )  # fmt: skip


def finding(name, verdict, evidence="", reason="", *commands):
    return Finding(
        id=name, verdict=verdict, question=f"Is {name} well?", evidence=evidence, reason=reason,
        remedy=Remedy(text="do this:" if commands else "", commands=commands), docs=f"docs/checks.md#{name}",
    )  # fmt: skip


def plain(lines):
    return [line.plain for line in lines]


def one(found, style=WIDE, **more):
    return plain(finding_lines(found, check(found.id, **more), style))


def test_a_pass_is_one_line():
    assert one(finding("docker.cli", "pass", "/usr/bin/docker")) == ["  ✓ docker.cli               /usr/bin/docker"]


def test_a_long_line_goes_on_below_its_own_column():
    assert one(finding("docker.cli", "pass", "one two three four five six seven eight"), NARROW) == [
        "  ✓ docker.cli               one two three four five six",
        "                             seven eight",
    ]


def test_lines_that_evidence_brings_stay_lines():
    assert one(finding("plan.drift", "pass", "-old\n+new")) == [
        "  ✓ plan.drift               -old",
        "                             +new",
    ]


def test_a_command_is_never_broken():
    command = "sudo " + "long " * 30
    assert f"{' ' * 13}{command}" in one(finding("a", "fail", "41", "it is 41", command), NARROW)


def test_a_reason_that_repeats_what_was_read_is_said_once():
    shown = "\n".join(one(finding("a", "fail", "no_socket: nothing listens", "nothing listens", "start it")))
    assert shown.count("nothing listens") == 1


def test_a_fix_of_ours_is_offered_where_it_is_wrong():
    fix = Fix(text="close them", apply=lambda context: None)
    assert "      --fix  close them" in one(finding("a", "warn", "0644", "open", "chmod"), fix=fix)
    assert "--fix" not in "\n".join(one(finding("a", "error", "", "it broke"), fix=fix))


def area(*findings, style=WIDE):
    known = {found.id: found for found in findings}
    group = Group(area="docker", checks={name: check(name) for name in known}, findings=findings, known=known)
    return plain(area_lines(group, style))


DOWN = finding("docker.daemon", "fail", "no answer", "it is down", "start it")
BEHIND = [finding(name, "skip", "blocked by docker.daemon", "must hold first") for name in ("a.b", "a.c")]
NOT_HERE = finding("docker.gpu", "skip", "", "the plan uses no GPU")
BEHIND_THAT = finding("docker.cdi", "skip", "blocked by docker.gpu", "must hold first")


def test_what_waits_for_one_cause_is_one_line():
    assert "  - 2 wait for docker.daemon: a.b, a.c" in area(DOWN, *BEHIND)
    assert "  - 1 waits for docker.daemon: a.b" in area(DOWN, BEHIND[0])


def test_what_does_not_apply_is_not_shown_nor_what_is_behind_it():
    assert area(NOT_HERE, BEHIND_THAT) == []
    shown = area(NOT_HERE, BEHIND_THAT, style=Style(verbose=True))
    assert "  - docker.gpu               the plan uses no GPU" in shown


def summary(*findings, fixable=(), style=WIDE):
    return plain(summary_lines(findings, 1.5, fixable, style))


def test_the_sum_of_a_healthy_machine_is_calm():
    assert summary(finding("a", "pass", "1"), NOT_HERE, BEHIND_THAT, finding("gpu.a", "skip", "", "none")) == [
        "3 do not apply here: docker. (2), gpu.a  (--verbose says why)",
        "",
        "✓ 1 passed   - 3 not applicable   1.5 s",
    ]


def test_the_sum_says_what_comes_next():
    style = Style(command="orchestrator doctor --stack team")
    shown = summary(finding("a", "pass", "1"), DOWN, *BEHIND, fixable=["docker.daemon"], style=style)
    assert shown == [
        "✓ 1 passed   ✗ 1 failed   - 2 waiting   1.5 s",
        "next  orchestrator doctor --stack team --fix  can put right: docker.daemon",
        "      orchestrator doctor --stack team --explain docker.daemon  says what it asks and reads",
    ]


@pytest.mark.parametrize("verdict", ["pass", "warn", "fail", "error", "skip", "fixed"])
def test_every_verdict_has_its_line_with_what_was_read_or_why(verdict):
    (first, *_rest) = one(finding("a", verdict, "" if verdict in ("skip", "error") else "41", "because"))
    assert first.split()[1] == "a"
    assert first.endswith(("41", "because", "41 (because)"))
