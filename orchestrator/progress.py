"""How long work tells what it does, how far it is and how fast. Rooms below the CLI only call this protocol."""

from __future__ import annotations

from typing import Literal, Protocol

Unit = Literal["bytes", "items"]


class Progress(Protocol):
    def step(self, text: str) -> None:
        """A new step of the story begins; the step before it is done."""

    def note(self, text: str) -> None:
        """Something that a person wants to read once, inside the step."""

    def advance(self, what: str, done: int, total: int | None, unit: Unit = "items") -> None:
        """`what` has come this far. May be called often; the view decides how often it is drawn."""


class Silent:
    """For callers that want no narration (`--json` in a pipe, tests)."""

    def step(self, text: str) -> None:
        return None

    def note(self, text: str) -> None:
        return None

    def advance(self, what: str, done: int, total: int | None, unit: Unit = "items") -> None:
        return None
