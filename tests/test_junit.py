from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.junit import Case, cases_of, junit_xml
from orchestrator.result import Finding, Remedy


def case(name, verdict, **more):
    return Case(id=name, name=f"Is {name} well?", verdict=verdict, **more)


def parsed(*cases, suite="doctor"):
    return ElementTree.fromstring(junit_xml(suite, cases))


def test_counts_are_those_of_the_cases():
    root = parsed(*(case(str(n), v) for n, v in enumerate(("pass", "fail", "fail", "skip", "error", "pass"))))
    for element in (root, root.find("testsuite")):
        assert {key: element.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
            "tests": "6", "failures": "2", "errors": "1", "skipped": "1",
        }  # fmt: skip
    assert len(root.findall(".//testcase")) == 6
    assert len(root.findall(".//failure")) == 2


def test_a_case_tells_what_it_is_and_how_long_it_took():
    (found,) = parsed(case("gpu.nvml", "fail", message="no driver", detail="two\nlines", seconds=0.25)).iter("testcase")
    assert found.attrib == {"classname": "doctor.gpu.nvml", "name": "Is gpu.nvml well?", "time": "0.250"}
    failure = found.find("failure")
    assert failure.get("message") == "no driver"
    assert failure.text == "two\nlines"


def test_a_passed_case_keeps_its_evidence():
    (found,) = parsed(case("a", "pass", detail="42")).iter("testcase")
    assert found.find("system-out").text == "42"


def test_no_cases_is_still_a_document():
    assert parsed().get("tests") == "0"


@given(st.text(st.characters(exclude_categories=()), max_size=60), st.sampled_from(["pass", "fail", "skip", "error"]))
def test_any_text_gives_valid_xml(text, verdict):
    xml = junit_xml(text, [Case(id=text, name=text, verdict=verdict, message=text, detail=text)])
    assert ElementTree.fromstring(xml.encode()).get("tests") == "1"


def test_colour_codes_of_a_log_are_left_out():
    (found,) = parsed(case("a", "fail", detail="\x1b[31mred\x1b[0m\x00 <&>")).iter("failure")
    assert found.text == "red <&>"


FINDING = Finding(
    id="a.b", verdict="warn", question="Is it?", evidence="41", reason="it\nis 41",
    remedy=Remedy(text="make it 42", commands=("set 42",)), docs="docs/checks.md#a.b",
)  # fmt: skip


def test_a_finding_keeps_all_it_has_to_say():
    (made,) = cases_of([FINDING], seconds={"a.b": 1.5})
    assert (made.id, made.name, made.verdict, made.message, made.seconds) == ("a.b", "Is it?", "pass", "it is 41", 1.5)
    for part in ("warn", "41", "make it 42", "set 42", "docs/checks.md#a.b"):
        assert part in made.detail


@pytest.mark.parametrize(
    ("verdict", "failing", "expected"),
    [
        ("pass", ("fail",), "pass"),
        ("fixed", ("fail",), "pass"),
        ("warn", ("fail",), "pass"),
        ("warn", ("fail", "warn"), "fail"),
        ("fail", ("fail",), "fail"),
        ("skip", ("fail", "warn"), "skip"),
        ("error", ("fail",), "error"),
    ],
)
def test_which_verdicts_fail_is_the_callers_to_say(verdict, failing, expected):
    finding = Finding(id="a", verdict=verdict, question="Is it?")
    assert cases_of([finding], failing=failing)[0].verdict == expected
