"""docs/checks.md and the records in the code are one."""

from __future__ import annotations

from tools.checks_page import PAGE, checks, page, questions


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tools/checks_page.py"


def test_every_check_has_all_its_fields_and_an_anchor() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for check in checks():
        assert check.question.endswith("?")
        assert check.reads
        assert check.severity in ("fail", "warn")
        path, _, anchor = check.docs.partition("#")
        assert path == "docs/checks.md"
        assert f'<a id="{anchor}"></a>' in text


def test_every_probe_of_verify_is_a_check_with_the_same_question() -> None:
    asked = {check.id: check for check in checks()}
    for name, question in questions().items():
        assert question.text.endswith("?")
        assert asked[name].question == question.text


def test_what_is_asked_of_a_running_stack_stands_behind_whether_it_runs() -> None:
    by_id = {check.id: check for check in checks()}

    def roots(name: str) -> set[str]:
        needs = by_id[name].needs
        return {name} if not needs else {root for need in needs for root in roots(need)}

    of_the_stack = [check.id for check in checks() if check.stage == "stack"]
    assert "stack.state" in of_the_stack
    for name in of_the_stack:
        assert "stack.state" in roots(name), name


def test_blockers_exist() -> None:
    ids = {check.id for check in checks()}
    assert {need for check in checks() for need in check.needs} <= ids
