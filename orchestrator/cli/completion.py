from __future__ import annotations

import click


@click.command("completion", epilog='Example:  eval "$(orchestrator completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Print the completion script for your shell."""
    click.echo(script(shell))
    return 0


def script(shell: str) -> str:
    """What click makes for it; packages ship the same text under `completions/`."""
    from click.shell_completion import get_completion_class

    from orchestrator.cli.main import cli

    completer = get_completion_class(shell)
    assert completer is not None  # noqa: S101 - the three shells that click knows
    return completer(cli, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").source()
