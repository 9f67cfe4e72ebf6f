"""Every command of the README, run in its order against the stack of `make up`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import Tool
from tests.readme import commands

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("native_up")]

LINES = [words[1:] for words in commands() if words[0] != "make" and words[1] != "down"]
"""`make up` is the fixture; `down` is test_up_native.py's last test, for it ends the stack."""


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_it_runs(tool: Tool, words: list[str], tmp_path: Path) -> None:
    done = tool.run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.stdout.strip()
