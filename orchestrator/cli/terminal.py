"""Progress for people, on stderr: a live line on a terminal, plain lines in a pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from orchestrator.progress import Progress, Unit

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PLAIN_EVERY_S = 5.0
"""In a pipe one line per this many seconds and task: enough to see life, few enough to read."""


NARROWEST, USUAL = 40, 80


def width_of(stream: TextIO) -> int:
    """COLUMNS, else the terminal behind this stream, else 80."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        columns = USUAL
    return max(columns, NARROWEST)


def say(text: str, *, err: bool = False) -> None:
    """Styled text: in colour on a terminal, plain in a pipe or where NO_COLOR is set (no-color.org)."""
    import click

    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)


def is_quiet() -> bool:
    """Whether --quiet was said."""
    import click

    from orchestrator.cli.options import QUIET

    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(QUIET))


@contextmanager
def progress() -> Iterator[Progress]:
    """The reporter that fits stderr, none with --quiet. Leaves the terminal as it was, also when interrupted."""
    if is_quiet():
        from orchestrator.progress import Silent

        yield Silent()
    elif sys.stderr.isatty():
        live = LiveProgress()
        try:
            yield live
        finally:
            live.close()
    else:
        yield PlainProgress(sys.stderr)


class PlainProgress:
    """Lines that a log file can hold: `[  12.3s] text`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._start = time.monotonic()
        self._last: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def _print(self, text: str) -> None:
        self._stream.write(f"[{time.monotonic() - self._start:7.1f}s] {text}\n")
        self._stream.flush()

    def step(self, text: str) -> None:
        self._print(text)

    def note(self, text: str) -> None:
        for line in text.splitlines():
            self._print(f"  {line}")

    def advance(self, what: str, done: int, total: int | None, unit: Unit = "items") -> None:
        now = time.monotonic()
        began = self._began.setdefault(what, now)
        finished = total is not None and done >= total
        if not finished and now - self._last.get(what, 0.0) < PLAIN_EVERY_S:
            return
        if finished and self._last.get(what) == float("inf"):
            return
        self._last[what] = float("inf") if finished else now
        self._print(f"  {what}: {_amount(done, total, unit)}{_rate(done, now - began, unit)}")


def _amount(done: int, total: int | None, unit: Unit) -> str:
    if unit == "bytes":
        whole = f" of {total / 1e6:.1f}" if total else ""
        return f"{done / 1e6:.1f}{whole} MB"
    return f"{done}/{total}" if total else str(done)


def _rate(done: int, seconds: float, unit: Unit) -> str:
    if seconds < 1:
        return ""
    return f", {done / seconds / 1e6:.1f} MB/s" if unit == "bytes" else f", {done / seconds:.1f}/s"


class LiveProgress:
    """Steps as ticked lines; bars under them while something long runs."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._bars: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._units: dict[str, Unit] = {}

    def step(self, text: str) -> None:
        self.close()
        self._console.print(f"[bold cyan]›[/] {text}", soft_wrap=True)

    def note(self, text: str) -> None:
        self._console.print(f"  [dim]{text}[/]", soft_wrap=True)

    def advance(self, what: str, done: int, total: int | None, unit: Unit = "items") -> None:
        if self._bars is None:
            self._bars = _bars(self._console)
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total, amount=_amount(done, total, unit))

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks = {}


def _bars(console: object) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    assert isinstance(console, Console)  # noqa: S101
    return Progress(
        TextColumn("   "),
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
