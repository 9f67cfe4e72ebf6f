from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, junit_option, lock_option, quiet_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result


@click.command("verify", epilog="Example:  orchestrator verify --json")
@stack_option
@lock_option
@junit_option
@quiet_option
@json_option
def command(stack: str, lock_timeout_s: float, junit: Path | None, as_json: bool) -> int:
    """Prove on the running stack that the vectors are right and a document is found again."""
    from orchestrator.cli.junit_file import junit_of_failure, write_junit
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.look import verify

    with progress() as reporter, junit_of_failure(junit, "verify"):
        result = verify(stack, reporter, lock_timeout_s=lock_timeout_s)
    write_junit(junit, "verify", result.findings)
    return finish(result, as_json, _view)


def _view(console: Console, result: Result) -> None:
    from orchestrator.cli.output import show_findings

    show_findings(console, result.findings)
    counts = Counter(finding.verdict for finding in result.findings)
    console.print("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
