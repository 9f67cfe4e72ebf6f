"""`init`: a commented configuration for this machine, whose every value is explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.configuration.keys import FILE_NAME, KEYS, Key
from orchestrator.configuration.schema import SCHEMA_FILE, SECTION_SUMMARIES, schema_text
from orchestrator.configuration.settings import of_file
from orchestrator.errors import usage_error
from orchestrator.operations.request import defaults
from orchestrator.plan.records import Plan
from orchestrator.plan.spec import Spec
from orchestrator.result import Result
from orchestrator.state import write_whole

HEAD = """# yaml-language-server: $schema={schema}
# One retrieval stack, as `orchestrator up` in this folder brings it up. Made by `orchestrator init`.
# A line that is commented out shows an example; the plan or the default then decides (`orchestrator config show`).
# Each key has a flag or an environment variable that overrules it: flag > variable > this file > preset > default.
"""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A value to be written, and why this one."""

    value: Any
    reason: str


def refuse_existing(folder: Path, *, force: bool) -> None:
    if not force and (folder / FILE_NAME).exists():
        raise usage_error(
            FILE_NAME, str(folder / FILE_NAME), "is there already", "--force replaces it; or name another folder"
        )


def suggested() -> tuple[Plan, dict[str, Chosen]]:
    """What the plan decides on this machine for an empty request: by key, with the plan's own reasons."""
    from orchestrator.operations.plan import PlanRequest, plan

    found = plan(PlanRequest(spec=Spec())).decision.plan
    reasons = found.reasons
    return found, {
        "services": Chosen(value=list(found.roles), reason="the whole stack"),
        "model": Chosen(value=found.model, reason=reasons["model"]),
        "engine": Chosen(value=found.engine, reason=reasons["engine"]),
        **{f"ports.{role}": Chosen(value=port, reason="the usual port") for role, port in found.ports.items()},
    }


def init(folder: Path, chosen: Mapping[str, Chosen]) -> Result:
    """Writes the file, and the schema that editors complete by beside it; then reads it back as `up` would."""
    path = folder / FILE_NAME
    write_whole(folder / SCHEMA_FILE, schema_text())
    write_whole(path, text_of(chosen))
    settings = of_file(path)
    return Result(
        command="init",
        data={
            "file": str(path),
            "schema_file": str(folder / SCHEMA_FILE),
            "settings": {setting.path: setting.value for setting in settings.values()},
        },
    )


def text_of(chosen: Mapping[str, Chosen]) -> str:
    lines = [HEAD.format(schema=f"./{SCHEMA_FILE}").rstrip()]
    section = ""
    for key in KEYS:
        above, _, name = key.path.rpartition(".")
        if above != section:
            section = above
            if section:
                used = any(path.startswith(f"{section}.") for path in chosen)
                lines += ["", f"# {SECTION_SUMMARIES[section]}", f"{'' if used else '# '}{section}:"]
        lines += _lines(key, name, chosen.get(key.path), indent="  " if section else "")
    return "\n".join(lines) + "\n"


def _lines(key: Key, name: str, chosen: Chosen | None, indent: str) -> list[str]:
    blank = [] if indent else [""]
    comment = f"{indent}# {key.summary} Takes: {key.kind.words}."
    if chosen is None:
        unset = key.unset or _plain(defaults()[key.path].value)
        return [*blank, comment, f"{indent}# Left out: {unset}.", f"{indent}# {name}: {_plain(key.example)}"]
    why = " ".join(chosen.reason.split())
    return [*blank, comment, *_wrapped(f"Chosen: {why}.", indent), f"{indent}{name}: {_plain(chosen.value)}"]


def _wrapped(text: str, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ")


def _plain(value: Any) -> str:
    """On one line, as YAML writes it."""
    import yaml

    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(yaml.safe_dump(value, width=10_000, allow_unicode=True)).removesuffix("\n...\n").strip()
