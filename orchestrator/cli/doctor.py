from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import Duration, json_option, junit_option, quiet_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.operations.doctor import DoctorRequest
    from orchestrator.result import Result

EPILOG = """\b
Examples:
  orchestrator doctor                                   everything that applies: machine, plan, running stack
  orchestrator doctor --pre                             the machine alone, before there is a stack
  orchestrator doctor --only gpu. --only docker.daemon  one check, or all whose id begins so
  orchestrator doctor --wait 2m --junit doctor.xml      in CI: until all hold, and a report for the server
  orchestrator doctor --fix                             put right what is safe to; the rest is printed
\b
Exit codes: 0 nothing failed, 1 something failed (or warned, with --strict), 2 usage,
3 a check itself broke, 130 interrupted.
"""


@click.command("doctor", epilog=EPILOG)
@stack_option
@click.option("--pre", is_flag=True, help="The machine alone: no plan and no stack needed.")
@click.option("--only", multiple=True, metavar="ID", help="Only this check, area, or beginning of an id (`gpu.`).")
@click.option("--skip", multiple=True, metavar="ID", help="Leave this check out. Needs a --reason.")
@click.option("--reason", multiple=True, metavar="TEXT", help="Why it is skipped; shown in its place.")
@click.option("--list", "lists", is_flag=True, help="Show every check's record and ask nothing.")
@click.option("--explain", metavar="ID", help="What a check asks, reads and needs, and what can be done.")
@click.option("--strict", is_flag=True, help="A warning fails too.")
@click.option("--wait", "wait_s", type=Duration(), default=0.0, help="Ask what fails again, for as long: 30s, 5m.")
@click.option("--offline", is_flag=True, help="Ask nothing beyond this machine.")
@click.option("--fix", is_flag=True, help="Apply the safe fixes, each printed before and checked after.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write one archive without secrets to hand on (.tar.gz or .zip).",
)
@click.option("--verbose", is_flag=True, help="Show every question, and what does not apply.")
@junit_option
@quiet_option
@json_option
def command(lists: bool, explain: str | None, junit: Path | None, verbose: bool, as_json: bool, **asked: Any) -> int:
    """Ask this machine, the plan and the running stack every question that can explain a failure.

    One cause gives one failure; what waits behind it is skipped and says so. Nothing is changed
    without --fix; the round trip removes the document that it uploads.
    """
    from orchestrator.cli.doctor_list import show_explanation, show_list

    request = _request(asked)
    if lists:
        return show_list(request.selection, as_json)
    if explain is not None:
        return show_explanation(explain, as_json)
    return _diagnose(request, junit, as_json, verbose)


def _request(asked: dict[str, Any]) -> DoctorRequest:
    from orchestrator.doctor.selection import Selection, paired
    from orchestrator.operations.doctor import ALL_STAGES, LENIENT, PRE_STAGES, STRICT, DoctorRequest

    skip = paired(asked.pop("skip"), asked.pop("reason"))
    return DoctorRequest(
        selection=Selection(only=asked.pop("only"), skip=skip),
        stages=PRE_STAGES if asked.pop("pre") else ALL_STAGES,
        failing=STRICT if asked.pop("strict") else LENIENT,
        **asked,
    )


def _diagnose(request: DoctorRequest, junit: Path | None, as_json: bool, verbose: bool) -> int:
    from orchestrator.cli.doctor_view import Narration, tree
    from orchestrator.cli.junit_file import write_junit
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.doctor import doctor

    with progress() as reporter:
        if as_json:
            diagnosis = doctor(request, Narration(reporter))
        else:
            with tree(reporter, verbose=verbose, stack=request.stack) as watch:
                diagnosis = doctor(request, watch)
                watch.sum_up(diagnosis.result.findings)
    findings = diagnosis.result.findings
    write_junit(junit, "doctor", findings, failing=request.failing, seconds=diagnosis.seconds)
    return finish(diagnosis.result, as_json, _show_report)


def _show_report(console: Console, result: Result) -> None:
    if result.data["report"]:
        console.print(f"\nreport: {result.data['report']}; have a look before you hand it on", soft_wrap=True)
