"""The shell blocks of the documentation, run in a shell against the stack of `make up`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks
from tests.integration.conftest import Tool

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("native_up")]


@pytest.mark.parametrize("block", [block for block in blocks() if block.reason is None], ids=str)
def test_it_runs(block: Block, tool: Tool, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=tmp_path,
        env={**tool.environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.strip()
