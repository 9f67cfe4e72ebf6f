"""A pytest plugin: `orchestrator_stack`, a verified stack for the whole session.

In the suite's top conftest.py: `pytest_plugins = ["orchestrator.pytest"]`. It is no entry point on purpose: a suite
that does not ask for it is not touched. Inside `orchestrator run -- pytest` the fixture gives that command's stack;
alone, it brings one of its own up, and takes it down at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from orchestrator.library import Stack, Wishes

STACK_VARIABLE = "ORCHESTRATOR_STACK_NAME"
OPTIONS = {
    "stack": "A stack by its name; one that is up is used as it is. Default: the variable's, else one of its own.",
    "preset": "rag, embed, ci, or the path of a YAML file.",
    "model": "Embedding model, as --model of `orchestrator up`.",
    "backend": "Embedding server, as --backend.",
    "engine": "What runs the services, as --engine.",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("orchestrator", "a verified retrieval stack")
    for name, text in OPTIONS.items():
        group.addoption(f"--orchestrator-{name}", default=None, help=text)


@pytest.fixture(scope="session")
def orchestrator_stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """Up and proven right: `orchestrator_stack.environment()` says how to reach it."""

    def option(name: str) -> str | None:
        value: str | None = pytestconfig.getoption(f"--orchestrator-{name}")
        return value

    name, preset = option("stack") or os.environ.get(STACK_VARIABLE), option("preset")
    wishes: Wishes = {}
    for key in ("model", "backend", "engine"):
        if value := option(key):
            wishes[key] = value
    stack = Stack(name, preset=preset, **wishes) if name else Stack.temporary(preset=preset, **wishes)
    if not wishes and preset is None and stack.is_up():
        yield stack
        return
    with stack:
        yield stack
