"""Writes docs/checks.md from the records of the checks and probes: `python tools/checks_page.py`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import orchestrator.verify
from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.check import Check
from orchestrator.verify.question import Question

PAGE = Path(__file__).parents[1] / "docs" / "checks.md"

HEAD = """# Checks

Made by `tools/checks_page.py` from the records in the code; a test holds the two together.

A check looks at the machine, the plan, the stack's files or the running stack. Those that a plan needs guard
`orchestrator up`: one of severity *fail* stops it before anything is changed. Those that are marked as a probe are also
asked by `orchestrator verify` and at the end of `up`, which says ready only when none fails.

Verdicts: pass, warn, fail, skip (it names the check that blocked it, or why it does not apply), error (the check itself
could not look; never a pass), fixed.
"""


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def checks() -> list[Check]:
    """One of each family: the three ports share a section."""
    return sorted({check.docs: check for check in CHECKS}.values(), key=lambda check: check.docs)


def questions() -> dict[str, Question]:
    """The probes of `verify` by id. Each is a check of `doctor` as well: a test holds this."""
    return {
        value.id: value
        for module in modules_of(orchestrator.verify)
        for value in vars(module).values()
        if isinstance(value, Question)
    }


def page() -> str:
    return "\n".join([HEAD, *map(_check, checks())])


def _check(check: Check) -> str:
    anchor = check.docs.partition("#")[2]
    family = f"{anchor}.<role>" if anchor != check.id else check.id
    needs = f"\n- needs first: {', '.join(check.needs)}" if check.needs else ""
    probe = "\n- a probe: `verify` and `up` ask it too" if check.id in questions() else ""
    fix = f"\n- `doctor --fix`: {check.fix.text}" if check.fix else ""
    return (
        f'<a id="{anchor}"></a>\n\n### {family}\n\n{_plain(check)}\n\n'
        f"- reads: {'; '.join(check.reads)}\n- when it is bad: {check.severity}{needs}{probe}{fix}\n"
    )


def _plain(check: Check) -> str:
    """A family asks the same of each role."""
    return check.question.replace(check.id.rpartition(".")[2], "the service") if check.anchor else check.question


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
