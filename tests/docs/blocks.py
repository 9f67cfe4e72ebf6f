"""The shell blocks of the documentation: what each runs, or why it is not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(
    r"(?:^[ ]*<!-- not run: (?P<reason>[^\n]+) -->\n)?^(?P<indent>[ ]*)```sh\n(?P<text>.*?)^[ ]*```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Block:
    page: str
    line: int
    text: str
    reason: str | None
    """Why no test runs it; None: one does."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """One a line; comments and continued lines are put right."""
        joined = self.text.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def blocks() -> list[Block]:
    return [block for path in sorted(DOCS.rglob("*.md")) for block in _blocks(path)]


def _blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            page=str(path.relative_to(DOCS)),
            line=text.count("\n", 0, match.start("indent")) + 1,
            text=dedent(match["text"]),
            reason=match["reason"],
        )
        for match in BLOCK.finditer(text)
    ]
