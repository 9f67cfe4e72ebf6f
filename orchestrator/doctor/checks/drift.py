"""The rendered files on the disk against what the plan renders now."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

from orchestrator.doctor.check import Answer, Check, Fix, bad, not_applicable, passed, warned
from orchestrator.doctor.context import Context
from orchestrator.engines.engine import RenderedFile
from orchestrator.state import StackFolder

SHOWN_LINES = 20


def drift(context: Context) -> Answer:
    if context.stack is None or context.folder is None:
        return not_applicable("nothing is rendered yet")
    folder, files = context.folder, context.stack.files
    differing = [line for file in files for line in _difference(folder, file)]
    if differing:
        lines = [context.stack.redact(line) for line in differing]
        more = [f"... {len(lines) - SHOWN_LINES} lines more"] if len(lines) > SHOWN_LINES else []
        return bad(
            "\n".join([*lines[:SHOWN_LINES], *more]),
            "the files were edited by hand, or written by another version of this tool",
            "what should stay goes into the plan's own settings (`orchestrator up --help`); to render and apply them:",
            context.command("up"),
        )
    evidence = f"{len(files)} files as the plan renders them"
    if not context.stack.plan_is_current:
        return warned(
            f"{evidence}; the pins of this version are newer than the plan",
            "the stack was planned with another version of this tool",
            "plan it again with the new pins:",
            context.command("up"),
        )
    return passed(evidence)


def render_again(context: Context) -> None:
    context.existing.render()


def _difference(folder: StackFolder, file: RenderedFile) -> Iterator[str]:
    path = folder.rendered / file.path
    try:
        found = path.read_text(encoding="utf-8", errors="replace")
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        yield f"{file.path}: missing"
        return
    if mode != file.mode:
        yield f"{file.path}: mode {mode:04o}, planned {file.mode:04o}"
    changes = unified_diff(
        found.splitlines(), file.text.splitlines(), f"{file.path} (here)", "planned", n=0, lineterm=""
    )
    yield from changes


DRIFT = Check(
    id="plan.drift",
    area="model",
    question="Are the rendered files as the plan makes them?",
    reads=("every rendered file against what the plan renders now", "the pins that the plan was made with"),
    severity="warn",
    stage="plan",
    answer=drift,
    fix=Fix(text="write the rendered files again; what runs is not touched until the next `up`", apply=render_again),
)
CHECKS = (DRIFT,)
