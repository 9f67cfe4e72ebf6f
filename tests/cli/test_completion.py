"""Completions: the shipped files are those that click makes now, and a real bash completes with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.main import COMMANDS
from tools import completions


@pytest.mark.parametrize("shell", completions.FILES)
def test_the_shipped_file_is_up_to_date(shell: str) -> None:
    shipped = completions.FOLDER / completions.FILES[shell]
    assert shipped.read_text(encoding="utf-8") == completions.text(shell), "run: python -m tools.completions"


def completed(line: list[str]) -> list[str]:
    """What bash offers for the last word of the line."""
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_orchestrator_completion orchestrator; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script, "bash", completions.FOLDER / completions.FILES["bash"], *line],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_the_verbs() -> None:
    assert completed(["orchestrator", ""]) == list(COMMANDS)


def test_bash_completes_an_options_values() -> None:
    assert completed(["orchestrator", "up", "--engine", ""]) == ["auto", "compose", "native"]
