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


def test_every_probe_has_an_anchor() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for question in questions():
        assert question.text.endswith("?")
        assert f'<a id="{question.id}"></a>' in text


def test_blockers_exist() -> None:
    ids = {check.id for check in checks()}
    assert {need for check in checks() for need in check.needs} <= ids
