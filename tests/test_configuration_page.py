"""docs/configuration.md and the keys in the code are one; its commands are real ones."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from orchestrator.cli.main import run
from tools.configuration_page import PAGE, page

COMMANDS = [
    shlex.split(line)[1:]
    for block in re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.splitlines()
]


def test_the_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run: python tools/configuration_page.py"


def test_the_commands_run_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert [words[0] for words in COMMANDS] == ["init", "config", "plan"]
    assert [run(words) for words in COMMANDS] == [0, 0, 0]
    assert (tmp_path / "orchestrator.yaml").exists()
