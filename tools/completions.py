"""Writes completions/ as click makes them, for packages to install: `python -m tools.completions`."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cli.completion import script

FOLDER = Path(__file__).parents[1] / "completions"
FILES = {"bash": "orchestrator.bash", "zsh": "_orchestrator", "fish": "orchestrator.fish"}
"""Shell → its file. Zsh finds a function by its file's name."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for shell, name in FILES.items():
        (FOLDER / name).write_text(text(shell), encoding="utf-8")


def text(shell: str) -> str:
    return script(shell).strip() + "\n"


if __name__ == "__main__":
    main()
