from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, lock_option, quiet_option, recalled_of, spec_options, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.operations.planning import Decided
    from orchestrator.result import Finding, Result

EPILOG = """\b
Examples:
  orchestrator up                                   the whole stack, decided from this machine
  orchestrator up --dry-run                         only show the plan and what would change
  orchestrator up --model ./my-model.gguf           a model of your own, no network needed
  orchestrator up embed --engine native --json      the embedding server alone, for a script
  orchestrator up ci --ci                           in a pipeline
"""


@click.command("up", epilog=EPILOG)
@spec_options
@stack_option
@click.option("--dry-run", is_flag=True, help="Show the plan and what would change; change nothing.")
@click.option("--replan", is_flag=True, help="Decide afresh instead of keeping the recorded plan.")
@click.option("--ci", is_flag=True, help="For pipelines: plain lines, no colour, files in --artifacts, cache keys.")
@click.option(
    "--artifacts",
    type=click.Path(file_okay=False),
    default="orchestrator-artifacts",
    show_default=True,
    help="Where --ci writes junit.xml, result.json and stack.env.",
)
@click.option("--verbose", is_flag=True, help="At the end, every check and probe with what it read.")
@lock_option
@quiet_option
@json_option
def command(
    *,
    as_json: bool,
    dry_run: bool,
    replan: bool,
    ci: bool,
    artifacts: str,
    verbose: bool,
    lock_timeout_s: float,
    **flags: Any,
) -> int:
    """Bring a verified stack up.

    Reads this machine, plans, starts, wires Open WebUI, and proves the vectors right before it says ready.
    PRESET is rag (default), embed, ci, or the path of a YAML file; without one, orchestrator.yaml in the working
    directory is read. Run again, it does nothing where nothing changed; a stack that is there keeps what it was asked
    for where nothing says otherwise.
    """
    from orchestrator.cli.output import finish
    from orchestrator.cli.pipeline import rehearse_in_pipeline, up_in_pipeline
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.up import UpRequest, rehearse, up

    recalled = recalled_of(flags)
    request = UpRequest(spec=recalled.spec, asked=recalled.asked, replan=replan, lock_timeout_s=lock_timeout_s)
    view = _view_all if verbose else _view
    if ci and dry_run:
        return rehearse_in_pipeline(request, as_json=as_json, view=_view_changes)
    if ci:
        return up_in_pipeline(request, artifacts, as_json=as_json, view=view)
    if dry_run:
        decided, result = rehearse(request)
        show_plan(decided)
        return finish(result, as_json, _view_changes)
    with progress() as reporter:
        result = up(request, reporter, show_plan)
    return finish(result, as_json, view)


def show_plan(decided: Decided) -> None:
    from orchestrator.cli.plan_view import render_plan
    from orchestrator.cli.terminal import is_quiet, say, width_of

    if is_quiet():
        return
    say(render_plan(decided.decision, width=width_of(sys.stderr)), err=True)


def _view_changes(console: Console, result: Result) -> None:
    console.print("\n[bold]What `up` would do[/]")
    for change in result.data["changes"]:
        console.print(f"  {change.action:9} {change.what}", soft_wrap=True)


def _view(console: Console, result: Result) -> None:
    from orchestrator.cli.proof import show_proof

    _show(console, result, show_proof)


def _view_all(console: Console, result: Result) -> None:
    from orchestrator.cli.output import show_findings

    _show(console, result, show_findings)


def _show(console: Console, result: Result, show_answers: Callable[[Console, tuple[Finding, ...]], None]) -> None:
    from orchestrator.cli.status import show_services

    if result.findings:
        console.print()
        show_answers(console, result.findings)
    show_services(console, result)
    if not result.data["changed"]:
        console.print("\n[green]Nothing to do:[/] the stack runs as planned, verified and unchanged.")
        return
    services = result.data["services"]
    front = services.get("webui") or services["embeddings"]
    console.print(f"\n[bold green]Ready[/]  {front['url']}")
    what = "sign in with the e-mail and password" if "webui" in services else "the key is EMBEDDINGS_API_KEY"
    console.print(f"  {what} in {result.data['credentials_file']}", soft_wrap=True)
    console.print(f"  next: orchestrator status · doctor · bench · logs · down  (--stack {result.data['stack']})")
