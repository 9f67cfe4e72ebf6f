"""`up --ci`: plain lines, no colour and no question, whatever the terminal or its variables say."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.cli.output import View
    from orchestrator.operations.up import UpRequest
    from orchestrator.result import Result


def up_in_pipeline(request: UpRequest, artifacts: str, *, as_json: bool, view: View) -> int:
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import PlainProgress
    from orchestrator.cli.up import show_plan
    from orchestrator.operations.pipeline import up_for_pipeline

    _plain()
    result = up_for_pipeline(request, Path(artifacts), PlainProgress(sys.stderr), show_plan)

    def with_files(console: Console, shown: Result) -> None:
        if shown.error is None:
            view(console, shown)
        _show_files(console, shown)

    return finish(result, as_json, with_files)


def rehearse_in_pipeline(request: UpRequest, *, as_json: bool, view: View) -> int:
    from orchestrator.cli.output import finish
    from orchestrator.cli.up import show_plan
    from orchestrator.operations.pipeline import rehearse_for_pipeline

    _plain()
    decided, result = rehearse_for_pipeline(request)
    show_plan(decided)

    def with_keys(console: Console, shown: Result) -> None:
        view(console, shown)
        _show_keys(console, shown)

    return finish(result, as_json, with_keys)


def _plain() -> None:
    """Pipelines set FORCE_COLOR and the like; a dumb terminal is what Rich writes no escape codes to."""
    os.environ |= {"TERM": "dumb", "NO_COLOR": "1"}


def _show_keys(console: Console, result: Result) -> None:
    for cache in result.data.get("caches", ()):
        console.print(f"cache key {cache.key}  ({cache.name}: {', '.join(cache.paths)})", soft_wrap=True)


def _show_files(console: Console, result: Result) -> None:
    _show_keys(console, result)
    console.print(f"artifacts: {', '.join(result.data['artifacts'].values())}", soft_wrap=True)
