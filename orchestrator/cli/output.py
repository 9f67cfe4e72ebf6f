"""The one renderer: a Result becomes one JSON object on stdout, or a view for people."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from orchestrator.result import Finding, Result, envelope

if TYPE_CHECKING:
    from rich.console import Console

MARKS = {"pass": "✓", "warn": "!", "fail": "✗", "skip": "-", "error": "?", "fixed": "✓"}
COLOURS = {"pass": "green", "warn": "yellow", "fail": "red", "skip": "dim", "error": "magenta", "fixed": "cyan"}

View = Callable[["Console", Result], None]


def finish(result: Result, as_json: bool, view: View | None = None) -> int:
    """Print the result and return its exit code."""
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(envelope(result)), indent=2) + b"\n")
        sys.stdout.flush()
        return result.exit_code
    if view is not None:
        from rich.console import Console

        view(Console(highlight=False), result)
    if result.error is not None:
        from rich.console import Console

        show_problem(Console(stderr=True, highlight=False), result)
    return result.exit_code


def show_problem(console: Console, result: Result) -> None:
    from rich.markup import escape

    assert result.error is not None  # noqa: S101 - the caller looked
    console.print(f"[bold red]error[/] ({result.error.code}): {escape(result.error.message)}", soft_wrap=True)
    if result.error.evidence and "\n" in result.error.evidence:
        for line in result.error.evidence.splitlines():
            console.print(f"  [dim]│[/] {escape(line)}", soft_wrap=True)
    if result.error.remedy:
        console.print(f"[bold]what to do[/]: {escape(result.error.remedy)}", soft_wrap=True)


def show_findings(console: Console, findings: tuple[Finding, ...]) -> None:
    """One line a finding; the reason and the remedy only where it did not pass."""
    from rich.markup import escape

    for finding in findings:
        colour = COLOURS[finding.verdict]
        evidence = f" [dim]· {escape(finding.evidence)}[/]" if finding.evidence else ""
        console.print(
            f"[{colour}]{MARKS[finding.verdict]}[/] {escape(finding.question)}{evidence} [dim]{finding.id}[/]",
            soft_wrap=True,
        )
        if finding.verdict in ("pass", "fixed"):
            continue
        if finding.reason:
            console.print(f"    {escape(finding.reason)}", soft_wrap=True)
        if finding.remedy.text:
            console.print(f"    [bold]fix[/]: {escape(finding.remedy.text)}", soft_wrap=True)
        for line in finding.remedy.commands:
            console.print(f"      {escape(line)}", soft_wrap=True)
