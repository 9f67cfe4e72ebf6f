"""Writes docs/checks.md from the records of the checks and probes: `python tools/checks_page.py`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import orchestrator.verify
from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.check import Area, Check
from orchestrator.doctor.listing import AREA_TITLES, STAGE_TEXTS, described
from orchestrator.verify.question import Question

PAGE = Path(__file__).parents[1] / "docs" / "checks.md"

HEAD = """# Checks

Made by `tools/checks_page.py` from the records in the code; a test holds the two together.

A check looks at the machine, the plan, the stack's files or the running stack. Those that a plan needs guard
`orchestrator up`: one of severity *fail* stops it before anything is changed. Those that are marked as a probe are also
asked by `orchestrator verify` and at the end of `up`, which says ready only when none fails.

How to read what `doctor` says, its exit codes, and what `--fix` may do: [doctor.md](doctor.md).

Verdicts: pass, warn, fail, skip (it names the check that blocked it, or why it does not apply), error (the check itself
could not look; never a pass), fixed.
"""


def modules_of(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def checks() -> list[Check]:
    """One of each family: the three ports share a section."""
    return list({check.docs: check for check in reversed(CHECKS)}.values())[::-1]


def questions() -> dict[str, Question]:
    """The probes of `verify` by id. Each is a check of `doctor` as well: a test holds this."""
    return {
        value.id: value
        for module in modules_of(orchestrator.verify)
        for value in vars(module).values()
        if isinstance(value, Question)
    }


def page() -> str:
    return "\n".join([HEAD, *(_area(title, area) for area, title in AREA_TITLES.items())])


def _area(title: str, area: Area) -> str:
    return "\n".join([f"## {title}\n", *(_check(check) for check in checks() if check.area == area)])


def _check(check: Check) -> str:
    anchor = check.docs.partition("#")[2]
    family = f"{anchor}.<role>" if anchor != check.id else check.id
    record = described(check, CHECKS)
    lines = {
        "reads": "; ".join(check.reads),
        "asked of": STAGE_TEXTS[check.stage],
        "when it is bad": check.severity,
        "needs first": ", ".join(record.needs),
        "blocks": ", ".join(record.blocks),
        "a probe": "`verify` and `up` ask it too" if check.id in questions() else "",
        "`doctor --fix`": record.fix,
    }
    listed = "\n".join(f"- {name}: {value}" for name, value in lines.items() if value)
    return f'<a id="{anchor}"></a>\n\n### {family}\n\n{_plain(check)}\n\n{listed}\n'


def _plain(check: Check) -> str:
    """A family asks the same of each role."""
    return check.question.replace(check.id.rpartition(".")[2], "the service") if check.anchor else check.question


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
