"""The pipeline of docs/bench.md, line by line, against the stack of `make up`: exit codes and JUnit files."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.blocks import blocks
from tests.integration.conftest import Tool

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("native_up")]

LINES = next(block for block in blocks() if "bench.json" in block.text).commands()
FEW, MANY = "--target 1", "--target 1000000"
"""The page's own figure is one for a real machine; what a shared one reaches is not what is tested here."""


def line(beginning: str) -> str:
    return next(each for each in LINES if each.startswith(beginning))


def failures(path: Path) -> int:
    return sum(int(suite.get("failures", 0)) for suite in ElementTree.parse(path).iter("testsuite"))


def test_the_lines_of_the_page_end_as_it_says(tool: Tool, tmp_path: Path) -> None:
    measured = tool.shell(line("orchestrator bench --target").replace("--target 50", FEW), tmp_path)
    assert measured.returncode == 0, measured.stderr[-3000:]
    data = json.loads((tmp_path / "bench.json").read_text())["data"]
    assert data["docs_per_s"] > 0
    assert data["tokens_per_doc"] > 0

    report = line("orchestrator bench report")
    reported = tool.shell(f"{report} {FEW}", tmp_path)
    assert reported.returncode == 0, reported.stderr[-3000:]
    assert failures(tmp_path / "bench.xml") == 0
    missed = tool.shell(f"{report} {MANY}", tmp_path)
    assert missed.returncode == 1, missed.stderr[-3000:]
    assert failures(tmp_path / "bench.xml") == 1

    shutil.copytree(data["run_dir"], tmp_path / "bench/baseline")
    compared = tool.shell(line("orchestrator bench compare"), tmp_path)
    assert compared.returncode == 0, compared.stderr[-3000:]
    assert failures(tmp_path / "compare.xml") == 0
    assert shlex.split(line("orchestrator bench compare"))[-1] == "compare.xml"
