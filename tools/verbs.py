"""The command line as records, read from Click: what the commands page and the man page are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc

import click

from orchestrator.cli.main import COMMANDS, cli


@dataclass(frozen=True, kw_only=True)
class Verb:
    words: tuple[str, ...]
    """After `orchestrator`: ("up",), ("bench", "sweep")."""
    line: str
    usage: str
    text: str
    examples: str
    """The epilog as it is printed, with its line breaks."""
    options: tuple[tuple[str, str], ...]
    """What is typed, and what it does."""


def verbs() -> list[Verb]:
    """In the order of `orchestrator --help`; a group's own verbs follow it."""
    root = root_context()
    return [verb for name in COMMANDS for verb in _verbs(root, cli.get_command(root, name), (name,))]


def global_options() -> tuple[tuple[str, str], ...]:
    return _options(root_context(), cli)


def root_context() -> click.Context:
    return click.Context(cli, info_name="orchestrator", **cli.context_settings)


def _verbs(parent: click.Context, command: click.Command | None, words: tuple[str, ...]) -> Iterator[Verb]:
    assert command is not None, words
    context = click.Context(command, info_name=words[-1], parent=parent)
    yield Verb(
        words=words,
        line=COMMANDS[words[0]] if len(words) == 1 else command.get_short_help_str(limit=200),
        usage=" ".join(("orchestrator", *words, *command.collect_usage_pieces(context))),
        text=_plain(command.help),
        examples=_plain(command.epilog),
        options=_options(context, command),
    )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _verbs(context, command.get_command(context, name), (*words, name))


def _options(context: click.Context, command: click.Command) -> tuple[tuple[str, str], ...]:
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    return tuple(record for record in records if record is not None)


def _plain(text: str | None) -> str:
    """Click's own marks (\\b keeps line breaks) are not text."""
    return cleandoc((text or "").replace("\b\n", "").strip())
