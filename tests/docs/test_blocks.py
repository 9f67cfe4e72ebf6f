"""Every shell block is run by a test or says why not; every `orchestrator` line in any of them parses."""

from __future__ import annotations

import re
import shlex
from typing import cast

import click
import pytest

from orchestrator.cli.main import cli
from tests.docs.blocks import DOCS, Block, blocks
from tools.verbs import root_context

LINES = [(block, line) for block in blocks() for line in block.commands()]


def calls(line: str) -> list[list[str]]:
    """The `orchestrator …` calls of one shell line, without what the shell does around them."""
    words = shlex.split(re.sub(r"[<>]\s*\S+", "", line), comments=True)
    found: list[list[str]] = []
    current: list[str] | None = None
    for word in words:
        if word in ("&&", "||", "|", ";"):
            current = None
        elif word in ("orchestrator", ".venv/bin/orchestrator") and current is None:
            current = []
            found.append(current)
        elif current is not None:
            current.append(word)
    return found


@pytest.mark.parametrize(("block", "line"), LINES, ids=lambda value: str(value)[:60])
def test_every_call_parses(block: Block, line: str) -> None:
    for words in calls(line):
        context, command, left = root_context(), cast(click.Command, cli), words
        while isinstance(command, click.Group) and left and not left[0].startswith("-"):
            name, found, left = command.resolve_command(context, left)
            assert found is not None, f"{block}: {line}"
            command, context = found, click.Context(found, info_name=name, parent=context)
        command.make_context("orchestrator", list(left), parent=context.parent or context)


def test_there_are_blocks() -> None:
    assert len(LINES) > 20


def test_a_marked_block_says_why() -> None:
    for block in blocks():
        assert block.reason is None or len(block.reason) > 15, block


def test_a_test_that_a_mark_names_exists() -> None:
    named = {path for block in blocks() for path in re.findall(r"tests/[\w/]+\.py", block.reason or "")}
    assert named
    assert [path for path in sorted(named) if not (DOCS.parent / path).exists()] == []


def test_no_block_is_marked_in_vain() -> None:
    """A mark that stands before no shell block would hide that a block is not run."""
    marks = sum(path.read_text(encoding="utf-8").count("<!-- not run:") for path in DOCS.rglob("*.md"))
    assert marks == sum(block.reason is not None for block in blocks())
