"""docs/ci.md speaks of verbs, options, variables and methods that are there."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from orchestrator import Stack
from orchestrator.cli.main import COMMANDS
from orchestrator.operations.connection import FOR_CLIENTS
from orchestrator.pytest import OPTIONS
from tests.ci_templates import action

PAGE = Path(__file__).parents[1] / "docs/ci.md"
TEXT = PAGE.read_text(encoding="utf-8")
LINES = [
    shlex.split(line.partition(" -- ")[0])[1:]
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_every_command_is_a_real_one(words: list[str]) -> None:
    assert words[0] in COMMANDS
    command = import_module(f"orchestrator.cli.{words[0]}").command
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_it_names_every_option_of_the_plugin_every_key_and_every_method() -> None:
    for name in OPTIONS:
        assert f"`--orchestrator-{name}`" in TEXT
    for names in FOR_CLIENTS.values():
        assert all(f"`{name}`" in TEXT for name in names)
    for method in re.findall(r"(?:stack\.|and |, )(\w+)\(\)", TEXT):
        assert hasattr(Stack, method), method
    for output in re.findall(r"outputs\.([\w-]+)", TEXT):
        assert output in action()["outputs"]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PAGE.parent / target).exists(), target
