from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.operations.init import Chosen
    from orchestrator.result import Result

EPILOG = """\b
Examples:
  orchestrator init          asks; every answer has a default from this machine
  orchestrator init --yes    takes what the plan decides here
"""


@click.command("init", epilog=EPILOG)
@click.argument("folder", type=click.Path(file_okay=False, exists=True, path_type=Path), default=".")
@click.option("--yes", is_flag=True, help="Do not ask; take what the plan decides on this machine.")
@click.option("--force", is_flag=True, help="Replace an orchestrator.yaml that is there.")
@json_option
def command(folder: Path, yes: bool, force: bool, as_json: bool) -> int:
    """Write a commented orchestrator.yaml into FOLDER (the working directory), for `orchestrator up` to find."""
    from orchestrator.cli.output import finish
    from orchestrator.errors import usage_error
    from orchestrator.operations.init import init, refuse_existing, suggested

    refuse_existing(folder, force=force)
    if not yes and not sys.stdin.isatty():
        raise usage_error("--yes", False, "there is no terminal to ask on", "add --yes")
    _, chosen = suggested()
    return finish(init(folder, chosen if yes else _answered(chosen)), as_json, _view)


def _answered(chosen: dict[str, Chosen]) -> dict[str, Chosen]:
    """Each question on stderr, its default from the machine; what cannot be is asked again."""
    answers: dict[str, Chosen] = {}
    for path, suggestion in chosen.items():
        services = answers["services"].value if "services" in answers else ()
        if path.startswith("ports.") and path.removeprefix("ports.") not in services:
            continue
        answers[path] = _ask(path, suggestion)
    return answers


def _ask(path: str, suggestion: Chosen) -> Chosen:
    from orchestrator.configuration.keys import BY_PATH
    from orchestrator.configuration.kinds import WrongValueError
    from orchestrator.operations.init import Chosen

    key = BY_PATH[path]
    shown = ", ".join(suggestion.value) if isinstance(suggestion.value, list) else str(suggestion.value)

    def read(text: str) -> object:
        try:
            return key.kind.checked(key.kind.of_text(text))
        except WrongValueError as wrong:
            raise click.UsageError(f"{wrong.message}; {wrong.remedy}") from None

    click.echo(f"\n{key.summary} {suggestion.reason[:1].upper()}{suggestion.reason[1:]}.", err=True)
    value = click.prompt(path, default=shown, value_proc=read, err=True)
    kept = value == key.kind.checked(suggestion.value)
    return suggestion if kept else Chosen(value=value, reason="your answer")


def _view(console: Console, result: Result) -> None:
    console.print(f"wrote {result.data['file']} and {result.data['schema_file']}", soft_wrap=True)
    console.print("  next: orchestrator config show · plan · up")
