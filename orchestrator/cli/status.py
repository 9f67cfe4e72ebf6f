from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result


@click.command("status", epilog="Example:  orchestrator status --json | jq .data.services.webui.url")
@stack_option
@json_option
def command(stack: str, as_json: bool) -> int:
    """What runs, where, how healthy, and where the credentials are. Exits 1 when a service is not healthy."""
    from orchestrator.cli.output import finish
    from orchestrator.operations.look import status

    return finish(status(stack), as_json, show_services)


def show_services(console: Console, result: Result) -> None:
    from rich.table import Table

    data = result.data
    if "services" not in data:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("service", "url", "health", "version", "runs as"):
        table.add_column(column)
    for role, service in data["services"].items():
        health = "[green]healthy[/]" if service["healthy"] else f"[red]{service['reason']}[/]"
        runs_as = service["container"] or (f"pid {service['pid']}" if service["pid"] else service["state"])
        table.add_row(f"{role} ({service['name']})", service["url"], health, service["version"], runs_as)
    model = data["model"]
    console.print()
    console.print(table)
    console.print(
        f"\nstack {data['stack']} · engine {data['engine']} · {model['id']} "
        f"({model['dimension']} dimensions, {model['max_length']} tokens)",
        soft_wrap=True,
    )
    console.print(f"credentials: {data['credentials_file']}", soft_wrap=True)
