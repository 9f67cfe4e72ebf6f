"""What `up` asked and saw: what did not pass in full, the proof in its own figures, the rest counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Finding

TOLD = {
    "embed.meaning": "vectors as the model makes them",
    "embed.retrieval": "questions find their passages",
    "e2e.roundtrip": "a document is found again",
}
"""The answers that a person came for; `doctor` and `--json` have every one."""


def show_proof(console: Console, findings: tuple[Finding, ...]) -> None:
    from rich.markup import escape

    from orchestrator.cli.output import show_findings

    show_findings(console, tuple(finding for finding in findings if finding.verdict not in ("pass", "fixed", "skip")))
    for finding in findings:
        if finding.verdict == "pass" and finding.id in TOLD:
            line = f"[green]✓[/] {TOLD[finding.id]} [dim]· {escape(finding.evidence)}[/]"
            console.print(line, no_wrap=True, overflow="ellipsis")
    passed = sum(finding.verdict in ("pass", "fixed") for finding in findings)
    idle = [finding.id for finding in findings if finding.verdict == "skip"]
    apart = f"; {len(idle)} {'does' if len(idle) == 1 else 'do'} not apply ({', '.join(idle)})" if idle else ""
    console.print(f"[green]✓[/] {passed} of {len(findings) - len(idle)} checks and probes passed{apart}")
