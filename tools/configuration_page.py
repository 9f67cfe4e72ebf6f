"""Writes the table of docs/configuration.md from the keys: `python tools/configuration_page.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.configuration.keys import KEYS, Key
from orchestrator.operations.request import defaults

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
BEGIN, END = "<!-- keys: made by tools/configuration_page.py -->\n", "<!-- end of keys -->\n"


def page(text: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def table() -> str:
    usual = defaults()
    head = "| key | what it is | takes | left out | flag | environment variable |\n|---|---|---|---|---|---|\n"
    return "\n" + head + "".join(_row(key, usual[key.path].value) for key in KEYS) + "\n"


def _row(key: Key, value: Any) -> str:
    unset = key.unset or f"`{', '.join(value) if isinstance(value, list | tuple) else value}`"
    flag = f"`{key.flag}`" if key.flag else ""
    words = key.kind.words.replace("|", "\\|")
    return f"| `{key.path}` | {key.summary} | {words} | {unset} | {flag} | `{key.variable}` |\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
