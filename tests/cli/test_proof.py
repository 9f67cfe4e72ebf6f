"""The last lines of `up`, and the first ones that --quiet leaves out."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from orchestrator.cli.proof import show_proof
from orchestrator.result import Finding, Remedy, Verdict


def finding(name: str, verdict: Verdict = "pass", **more: str) -> Finding:
    return Finding(
        id=name,
        verdict=verdict,
        question=f"Is {name} well?",
        evidence=f"read {name}",
        remedy=Remedy(text="mend it"),
        **more,
    )


def shown(*findings: Finding) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    show_proof(console, findings)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_what_passed_is_counted_and_the_proof_is_told() -> None:
    text = shown(finding("host.ram"), finding("embed.meaning"), finding("embed.matryoshka", "skip"))
    assert "vectors as the model makes them · read embed.meaning" in text
    assert "2 of 2 checks and probes passed; 1 does not apply (embed.matryoshka)" in text
    assert "host.ram" not in text


def test_what_did_not_pass_is_told_in_full() -> None:
    text = shown(finding("host.ram", "warn", reason="little is free"), finding("embed.meaning"))
    assert "! Is host.ram well? · read host.ram" in text
    assert "little is free" in text
    assert "fix: mend it" in text
    assert "1 of 2 checks and probes passed" in text


def test_quiet_says_nothing_on_stderr(tmp_path: Path) -> None:
    told = [sys.executable, "-m", "orchestrator", "doctor", "--pre", "--only", "host.os", "--wait", "1s"]
    environment = {**os.environ, "ORCHESTRATOR_HOME": str(tmp_path)}
    done = subprocess.run([*told, "--quiet"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "host.os" in done.stdout
