"""`run -- CMD`: a command with a verified stack in its environment, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from orchestrator.errors import usage_error
from orchestrator.operations.child import run_child
from orchestrator.operations.connection import addresses, connection
from orchestrator.operations.lending import Loan, lent
from orchestrator.operations.planning import Decided
from orchestrator.progress import Progress
from orchestrator.result import Result


def check_command(command: Sequence[str]) -> None:
    """Before minutes are spent on the stack."""
    if not command:
        raise usage_error("CMD", "", "no command was given", "orchestrator run -- pytest tests")
    if shutil.which(command[0]) is None:
        raise usage_error("CMD", command[0], "no such program", "write its path, or install it")


def run(
    loan: Loan,
    command: Sequence[str],
    reporting: Callable[[], AbstractContextManager[Progress]],
    show: Callable[[Decided], None],
    *,
    stdout: int,
) -> Result:
    """The result carries CMD's exit code. `stdout`: the file descriptor that CMD's output goes to."""
    with reporting() as progress, lent(loan, progress, show) as given:
        progress.step(f"run {command[0]} on stack {given.stack.plan.stack}")
        sys.stdout.flush()
        code = run_child(command, {**os.environ, **connection(given.stack)}, stdout=stdout)
        reached = addresses(given.stack)
    return Result(
        command="run",
        data={"stack": given.stack.plan.stack, "kept": given.kept, "command": list(command), "addresses": reached},
        exit_code=code,
    )
