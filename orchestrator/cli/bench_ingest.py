from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, lock_option, quiet_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result

HOPS = (("reading_s", "Open WebUI"), ("embedding_s", "embedder"), ("storing_s", "Chroma"), ("finishing_s", "finishing"))


@click.command("ingest", epilog="Example:  orchestrator bench ingest --chunks 500")
@stack_option
@click.option("--chunks", type=click.IntRange(1, 900), default=200, show_default=True, help="Chunks of each file.")
@click.option("--rounds", type=click.IntRange(1, 10), default=2, show_default=True, help="Files for each setting.")
@lock_option
@quiet_option
@json_option
def command(*, stack: str, chunks: int, rounds: int, lock_timeout_s: float, as_json: bool) -> int:
    """How fast files go through Open WebUI to Chroma: this stack's settings against Open WebUI's own defaults.

    The settings are put back and the files removed, also on Ctrl-C. Exits 1 where the stack's settings are slower
    than the defaults, or where Open WebUI's /health took longer than half a second with them.
    """
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.bench_ingest import IngestRequest, ingest

    with progress() as reporter:
        request = IngestRequest(stack=stack, chunks=chunks, rounds=rounds, lock_timeout_s=lock_timeout_s)
        result = ingest(request, reporter)
    return finish(result, as_json, _view)


def _view(console: Console, result: Result) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("settings", "chunks/s", "seconds", *(title for _, title in HOPS), "/health"):
        table.add_column(name, justify="left" if name == "settings" else "right", no_wrap=True)
    for trip in result.data["trips"]:
        table.add_row(
            trip["way"]["name"],
            f"{trip['chunks_per_s']:.1f}",
            f"{trip['seconds']:.1f}",
            *(_share(trip, hop) for hop, _ in HOPS),
            f"{trip['longest_health_s']:.2f} s",
        )
    console.print(table)
    console.print()
    for reason in result.data["reasons"]:
        console.print(reason)


def _share(trip: dict[str, Any], hop: str) -> str:
    return f"{trip['hops'][hop] / trip['seconds']:.0%}" if trip["hops"] else "-"
