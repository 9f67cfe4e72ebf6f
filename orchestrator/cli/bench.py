from __future__ import annotations

from importlib import import_module

import click

COMMANDS: dict[str, str] = {
    "smoke": "Measure once, at most a minute: the default.",
    "sweep": "Measure batch by load by length, and find the knee.",
    "compare": "Is B faster than A: better, same, worse or cannot tell.",
    "ingest": "Files through Open WebUI to Chroma: the stack's settings against Open WebUI's defaults.",
    "report": "Show a stored run again.",
}
"""Verb → its one line. The modules load only when they are called."""


class LazyBench(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"orchestrator.cli.bench_{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a verb module without its command is our own bug
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`bench --url ...` is `bench smoke --url ...`."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["smoke", *args]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group("bench", cls=LazyBench, epilog="Example:  orchestrator bench --tokens 32 --json")
def command() -> None:
    """Measure documents per second: what was sent is known, what came back is checked, and so is the client."""
