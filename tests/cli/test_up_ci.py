from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path


def test_no_colour_and_no_question_even_on_a_terminal_that_wants_both(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "up", "ci", "--engine", "native", "--ci", "--dry-run"],
        cwd=tmp_path,
        env={**os.environ, "ORCHESTRATOR_HOME": str(tmp_path / "home"), "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed: the command has ended
            break
        if not part:
            break
        shown += part
    assert process.wait(timeout=60) == 0, shown
    os.close(ours)
    assert b"\x1b[" not in shown
    assert b"cache key orchestrator-models-" in shown
    assert b"cache key orchestrator-environments-" in shown
    assert not (tmp_path / "home/stacks").exists()


def test_the_keys_are_data_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "up", "ci", "--engine", "native", "--ci", "--dry-run", "--json"],
        cwd=tmp_path,
        env={**os.environ, "ORCHESTRATOR_HOME": str(tmp_path / "home")},
        capture_output=True,
        check=True,
    )
    caches = json.loads(done.stdout)["data"]["caches"]
    assert [cache["name"] for cache in caches] == ["models", "environments"]
