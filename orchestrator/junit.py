"""Results as JUnit XML, the form that every CI server reads. Pure: who calls it writes the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Literal
from xml.etree import ElementTree

import msgspec

from orchestrator.result import Finding, Verdict

CaseVerdict = Literal["pass", "fail", "skip", "error"]
ELEMENTS: dict[CaseVerdict, str] = {"fail": "failure", "skip": "skipped", "error": "error"}
COUNTERS: dict[str, CaseVerdict] = {"failures": "fail", "errors": "error", "skipped": "skip"}
FAILING: tuple[Verdict, ...] = ("fail",)
ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""All that XML 1.0 cannot hold, not even escaped (https://www.w3.org/TR/xml/#charsets)."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    verdict: CaseVerdict
    message: str = ""
    """One line: what a CI server shows in its list."""
    detail: str = ""
    """All the rest: evidence, remedy, log lines."""
    seconds: float = 0.0


def junit_xml(suite: str, cases: Iterable[Case]) -> str:
    """One suite. A case's class is its id below the suite's name: so CI servers group by area and keep histories."""
    listed = tuple(cases)
    counts = {
        "tests": str(len(listed)),
        **{name: str(sum(case.verdict == verdict for case in listed)) for name, verdict in COUNTERS.items()},
        "time": f"{sum(case.seconds for case in listed):.3f}",
    }
    root = ElementTree.Element("testsuites", {"name": _clean(suite), **counts})
    parent = ElementTree.SubElement(root, "testsuite", {"name": _clean(suite), **counts})
    for case in listed:
        _add(parent, suite, case)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def cases_of(
    findings: Iterable[Finding],
    *,
    failing: Collection[Verdict] = FAILING,
    seconds: Mapping[str, float] | None = None,
) -> tuple[Case, ...]:
    """`failing` is what counts as a failure: `doctor --strict` adds `warn`. What does not fail keeps its text too."""
    took = seconds or {}
    return tuple(
        Case(
            id=finding.id,
            name=finding.question,
            verdict=_verdict(finding.verdict, failing),
            message=" ".join((finding.reason or finding.evidence).split()),
            detail=_detail(finding),
            seconds=took.get(finding.id, 0.0),
        )
        for finding in findings
    )


def _verdict(verdict: Verdict, failing: Collection[Verdict]) -> CaseVerdict:
    if verdict in failing:
        return "fail"
    return verdict if verdict in ("skip", "error", "fail") else "pass"


def _detail(finding: Finding) -> str:
    lines = (
        f"{finding.id}: {finding.verdict}",
        *((f"evidence: {finding.evidence}",) if finding.evidence else ()),
        *((f"reason: {finding.reason}",) if finding.reason else ()),
        *((f"remedy: {finding.remedy.text}",) if finding.remedy.text else ()),
        *(f"  {command}" for command in finding.remedy.commands),
        *((f"docs: {finding.docs}",) if finding.docs else ()),
    )
    return "\n".join(lines)


def _add(parent: ElementTree.Element, suite: str, case: Case) -> None:
    attributes = {"classname": f"{suite}.{case.id}", "name": case.name, "time": f"{case.seconds:.3f}"}
    element = ElementTree.SubElement(parent, "testcase", {key: _clean(value) for key, value in attributes.items()})
    if case.verdict in ELEMENTS:
        outcome = ElementTree.SubElement(element, ELEMENTS[case.verdict], {"message": _clean(case.message)})
        outcome.text = _clean(case.detail) or None
    elif case.detail:
        ElementTree.SubElement(element, "system-out").text = _clean(case.detail)


def _clean(text: str) -> str:
    return NOT_XML.sub("", ANSI.sub("", text))
