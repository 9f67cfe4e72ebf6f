"""Stands up, verifies, diagnoses and measures a self-hosted multilingual retrieval stack.

`from orchestrator import Stack` is the library; it loads when it is first asked for, so that `--help` stays instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.library import OrchestratorError, Result, Stack

__all__ = ["OrchestratorError", "Result", "Stack"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("orchestrator.library"), name)
