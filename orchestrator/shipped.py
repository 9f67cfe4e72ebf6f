"""Where the files that ship beside the code stand (`stacks/`, `templates/`, `schemas/`): checkout or wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def shipped_folder(name: Literal["stacks", "templates", "schemas"]) -> Path:
    """The folder in an installed wheel (`orchestrator/_stacks`), else at the top of the checkout."""
    package = Path(__file__).parent
    installed = package / f"_{name}"
    return installed if installed.is_dir() else package.parent / name
