"""Every command in the README is a real one; tests/integration/test_readme_commands.py runs them."""

from __future__ import annotations

import pytest

from orchestrator.cli.main import COMMANDS
from tests.readme import README, commands


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_known(words: list[str]) -> None:
    if words == ["make", "up"]:
        return
    assert words[0] in ("orchestrator", ".venv/bin/orchestrator")
    assert words[1] in COMMANDS


def test_the_shortest_true_path_comes_first() -> None:
    assert commands()[0] == ["make", "up"]


def test_links_lead_somewhere() -> None:
    import re

    for target in re.findall(r"\]\(([^)#]+)", README.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (README.parent / target).exists(), target
