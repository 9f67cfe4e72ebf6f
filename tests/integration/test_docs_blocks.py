"""The shell blocks of the documentation, run in a shell against the stack of `make up`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks
from tests.integration.conftest import Tool

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("native_up")]


@pytest.mark.parametrize("block", [block for block in blocks() if block.reason is None], ids=str)
def test_it_runs(block: Block, tool: Tool, tmp_path: Path) -> None:
    done = tool.shell(block.text, tmp_path)
    assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    assert done.stdout.strip()
