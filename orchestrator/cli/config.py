from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import asked_of, json_option, spec_options, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result

EPILOG = """\b
Examples:
  orchestrator config show                              every value, and who set it
  orchestrator config show --engine native              with a flag laid over it
  orchestrator config schema > orchestrator.schema.json what editors complete by
"""


@click.group("config", epilog=EPILOG)
def command() -> None:
    """Show what holds here and who set it; print the JSON Schema."""


@command.command("show", epilog="Example:  orchestrator config show --json | jq .data.settings.model")
@spec_options
@stack_option
@json_option
def show(as_json: bool, **flags: Any) -> int:
    """Every value that `up` would work with here, and who set it.

    Flag > environment variable > file > what an existing stack was asked for > preset > default.
    """
    from orchestrator.cli.output import finish
    from orchestrator.operations.configuration import show as shown

    return finish(shown(asked_of(flags)), as_json, _view)


@command.command("schema", epilog="Example:  orchestrator config schema > orchestrator.schema.json")
@json_option
def schema(as_json: bool) -> int:
    """Print the JSON Schema of orchestrator.yaml."""
    from orchestrator.cli.output import finish
    from orchestrator.configuration.schema import schema as made
    from orchestrator.configuration.schema import schema_text
    from orchestrator.result import Result

    if not as_json:
        click.echo(schema_text(), nl=False)
        return 0
    return finish(Result(command="config schema", data={"schema": made()}), as_json)


def _view(console: Console, result: Result) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("set by", overflow="fold")
    for path, setting in result.data["settings"].items():
        own = setting["set_by"] not in ("default", "preset")
        value = setting["value"] if setting["value"] is not None else f"({setting['unset'] or 'not set'})"
        shown = ", ".join(value) if isinstance(value, list | tuple) else str(value)
        table.add_row(path, Text(shown, "bold" if own else ""), Text(setting["words"], "" if own else "dim"))
    console.print(table)
    for name, near in result.data["unknown_variables"].items():
        hint = f"; did you mean {near}?" if near else ""
        console.print(f"[yellow]![/] {name} is set, and nothing reads it{hint}", soft_wrap=True)
