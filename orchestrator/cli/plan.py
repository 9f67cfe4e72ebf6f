from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from orchestrator.cli.options import json_option, spec_of, spec_options, stack_option
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Rejected

if TYPE_CHECKING:
    from orchestrator.operations.plan import Outcome

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
        return _show_history(as_json)
    asked = {name: flags.pop(name) for name in ("offline", "simulate", "assume_sources")}
    request = PlanRequest(spec=spec_of(flags), **asked)
    try:
        outcome = plan(request)
    except OrchestratorError as error:
        if not as_json:
            _show_rejected(error)
        raise
    if not as_json:
        _show(outcome, explain)
    return finish(outcome.result, as_json)


def _show(outcome: Outcome, explain: bool) -> None:
    from orchestrator.cli.plan_view import render_plan
    from orchestrator.cli.terminal import say, width_of

    say(
        render_plan(
            outcome.decision,
            width=width_of(sys.stdout),
            explain=explain,
            history=outcome.history,
            simulated=outcome.facts.simulated,
        )
    )


def _show_rejected(error: OrchestratorError) -> None:
    """The same table as for a plan; the error then need not list the candidates again."""
    if error.code != "no_plan":
        return
    from orchestrator.cli.plan_view import candidates_text
    from orchestrator.cli.terminal import say, width_of

    rejected = msgspec.convert(error.data["rejected"], tuple[Rejected, ...])
    say(candidates_text(None, rejected, width_of(sys.stdout)) + "\n")
    error.evidence = ""


def _show_history(as_json: bool) -> int:
    from orchestrator.cli.output import finish
    from orchestrator.cli.plan_view import history_text
    from orchestrator.cli.terminal import say, width_of
    from orchestrator.operations.calibration import history_result

    result = history_result()
    if not as_json:
        say(history_text(result.data["history"], width_of(sys.stdout)))
    return finish(result, as_json)
