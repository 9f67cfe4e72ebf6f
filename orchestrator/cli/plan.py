from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, spec_of, spec_options, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result

EPILOG = """\b
Examples:
  orchestrator plan                                          what `up` would decide here, and why
  orchestrator plan --explain                                every number with its source
  orchestrator plan --simulate "RTX 3060 12GB, 3.1 GB used"  a machine that you do not have
  orchestrator plan --tokens-per-doc 128 --docs-per-s 200    is this rate possible at all?
"""


@click.command("plan", epilog=EPILOG)
@spec_options
@stack_option
@click.option("--explain", is_flag=True, help="Show every term of the memory need and every setting with its source.")
@click.option("--simulate", metavar="TEXT|YAML", help="Plan for a described machine instead of this one.")
@click.option("--assume-sources", is_flag=True, help="Plan as if every model source and Docker could be reached.")
@click.option("--offline", is_flag=True, help="Ask no model source; only what is on this machine counts.")
@click.option("--history", is_flag=True, help="Show earlier predictions on this machine against what was measured.")
@json_option
def command(as_json: bool, explain: bool, history: bool, **flags: Any) -> int:
    """Decide model, backend and memory for this machine and show every number.

    Changes nothing. Every candidate that lost keeps its reason and its numbers.
    """
    from orchestrator.cli.output import finish
    from orchestrator.operations.plan import PlanRequest, plan

    if history:
        from orchestrator.operations.calibration import history_result

        return finish(history_result(), as_json, _view_history)
    asked = {name: flags.pop(name) for name in ("offline", "simulate", "assume_sources")}
    request = PlanRequest(spec=spec_of(flags), **asked)
    decision, result = plan(request)

    def view(console: Console, _result: Result) -> None:
        from orchestrator.cli.plan_view import render_plan

        console.print(render_plan(decision, explain=explain))

    return finish(result, as_json, view)


def _view_history(console: Console, result: Result) -> None:
    from orchestrator.cli.plan_view import history_table

    console.print(history_table(result.data["history"]))
