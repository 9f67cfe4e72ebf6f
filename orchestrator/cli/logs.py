from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import ROLES, json_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.plan.records import Role
    from orchestrator.result import Result


@click.command("logs", epilog="Example:  orchestrator logs embeddings --lines 100")
@click.argument("roles", nargs=-1, type=click.Choice(ROLES))
@stack_option
@click.option("--lines", type=click.IntRange(min=1), default=50, show_default=True, help="How many, per service.")
@click.option("--follow", is_flag=True, help="Go on printing new lines until Ctrl-C.")
@json_option
def command(roles: tuple[Role, ...], stack: str, lines: int, follow: bool, as_json: bool) -> int:
    """The last log lines of each service, with the cause of a known error text."""
    from orchestrator.cli.output import finish
    from orchestrator.errors import usage_error
    from orchestrator.operations.look import follow_logs, logs

    if follow and as_json:
        raise usage_error("--follow", "--json", "an endless log is not one JSON object", "leave one of the two out")
    if follow:
        return follow_logs(stack, roles, lines)
    return finish(logs(stack, roles, lines), as_json, _view)


def _view(console: Console, result: Result) -> None:
    for role, log in result.data["logs"].items():
        console.rule(role, align="left")
        for line in log["lines"]:
            console.print(line, markup=False, soft_wrap=True)
        if log["cause"]:
            console.print(f"[bold yellow]cause[/]: {log['cause']['cause']}. {log['cause']['remedy']}", soft_wrap=True)
