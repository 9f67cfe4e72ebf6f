"""Watches of the doctor: a tree that grows on a terminal, the same lines in a pipe, a few words beside `--json`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.text import Text

from orchestrator.cli.doctor_lines import Group, Style, area_lines, finding_lines, fix_line, summary_lines
from orchestrator.doctor.check import Area, Check, Fix
from orchestrator.doctor.listing import AREA_TITLES
from orchestrator.doctor.watch import Silent
from orchestrator.progress import Progress
from orchestrator.result import Finding

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

REDRAWN_PER_S = 10
NAMED_AT_ONCE = 3
"""Checks that the moving line names while they run."""


@contextmanager
def tree(progress: Progress, *, verbose: bool, stack: str) -> Iterator[Tree]:
    """Live on a terminal; in a pipe each area's lines as soon as it is complete, with colour where FORCE_COLOR asks."""
    from rich.console import Console

    console = Console(highlight=False)
    is_live = sys.stdout.isatty()
    style = Style(
        width=console.width if is_live else None,
        verbose=verbose,
        command="orchestrator doctor" if stack == "default" else f"orchestrator doctor --stack {stack}",
    )
    if not is_live:
        yield Tree(console, style, progress)
        return
    growing = GrowingTree(console, style, progress)
    try:
        yield growing
    finally:
        growing.close()


class Narration(Silent):
    """What changes something or takes long, on stderr: all that is said beside `--json`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._named: set[str] = set()

    def waits(self, unsettled: Iterable[Finding], left_s: float) -> None:
        names = {finding.id for finding in unsettled}
        if names != self._named:
            self._named = names
            self._progress.step(f"waiting up to {left_s:.0f} s for {', '.join(sorted(names))}")

    def fixes(self, check: Check, fix: Fix) -> None:
        self._progress.step(f"fix {check.id}: {fix.text}")


class Tree(Narration):
    """Prints area after area, in their order, each once all its answers are there."""

    def __init__(
        self, console: Console, style: Style, progress: Progress, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(progress)
        self.console, self.style, self._clock = console, style, clock
        self._began = clock()
        self._checks: dict[str, Check] = {}
        self._found: dict[str, Finding] = {}
        self._areas: list[Area] = list(AREA_TITLES)
        self._fixing = False

    def begins(self, checks: Iterable[Check]) -> None:
        self._checks = {check.id: check for check in checks}
        self._show_complete()

    def ends(self, finding: Finding) -> None:
        self._found[finding.id] = finding
        if self._fixing:
            self._print(finding_lines(finding, self._checks[finding.id], self.style))
        else:
            self._show_complete()

    def fixes(self, check: Check, fix: Fix) -> None:
        if not self._fixing:
            self._print([Text("Fixes", style="bold")])
        self._fixing = True
        self._print(fix_line(check, fix.text, self.style))

    def sum_up(self, findings: tuple[Finding, ...]) -> None:
        """After the last answer; `findings` as the result has them."""
        fixable = [f.id for f in findings if f.verdict in ("warn", "fail") and self._checks[f.id].fix is not None]
        if self._fixing:
            self._print([Text("")])
        self._print(summary_lines(findings, self._clock() - self._began, () if self._fixing else fixable, self.style))

    def _show_complete(self) -> None:
        while self._areas and not self._open(self._areas[0]):
            self._print(area_lines(self._group(self._areas.pop(0)), self.style))

    def _open(self, area: Area) -> list[str]:
        return [name for name, check in self._checks.items() if check.area == area and name not in self._found]

    def _group(self, area: Area) -> Group:
        there = [self._found[name] for name, c in self._checks.items() if c.area == area and name in self._found]
        return Group(area=area, checks=self._checks, findings=there, known=self._found)

    def _print(self, lines: Iterable[Text]) -> None:
        for line in lines:
            self.console.print(line, soft_wrap=True)


class GrowingTree(Tree):
    """Below the areas that are complete: the one that is being asked, and a moving line with what is asked now."""

    def __init__(self, console: Console, style: Style, progress: Progress) -> None:
        super().__init__(console, style, progress)
        self._running: dict[str, None] = {}
        self._live: Live | None = None
        self._draw("reading this machine")

    def starts(self, check: Check) -> None:
        self._running[check.id] = None
        self._draw(self._asking())

    def ends(self, finding: Finding) -> None:
        self._running.pop(finding.id, None)
        super().ends(finding)
        self._draw(self._asking())

    def waits(self, unsettled: Iterable[Finding], left_s: float) -> None:
        self._running.clear()
        said = "; ".join(f"{finding.id} ({finding.reason})" for finding in unsettled)
        self._draw(f"waiting up to {left_s:.0f} s more for {said}")

    def sum_up(self, findings: tuple[Finding, ...]) -> None:
        self.close()
        super().sum_up(findings)

    def close(self) -> None:
        """Leaves the terminal as it was, also when interrupted."""
        if self._live is not None:
            self._live.stop()
        self._live = None

    def _print(self, lines: Iterable[Text]) -> None:
        """What stays is printed while nothing moves: rich measures the moving part by the rules of what it prints."""
        self.close()
        super()._print(lines)

    def _asking(self) -> str:
        names = list(self._running)
        more = f" and {len(names) - NAMED_AT_ONCE} more" if len(names) > NAMED_AT_ONCE else ""
        return f"{len(self._found)} of {len(self._checks)}   {', '.join(names[:NAMED_AT_ONCE])}{more}"

    def _draw(self, status: str) -> None:
        """As much of the open area as the terminal has lines for: what is above its upper edge cannot be erased."""
        from rich.console import Group as Lines
        from rich.live import Live
        from rich.spinner import Spinner

        room = max(self.console.height - 3, 1)
        partial = list(area_lines(self._group(self._areas[0]), self.style))[:-1] if self._areas else []
        for line in partial:
            line.no_wrap, line.overflow = True, "ellipsis"
        said = Text(status, style="dim")
        said.truncate(max(self.console.width - 4, 10), overflow="ellipsis")
        drawn = Lines(*partial[-room:], Spinner("dots", text=said, style="cyan"))
        if self._live is None:  # a new one each time: one that is started again erases as many lines as it last had
            self._live = Live(drawn, console=self.console, transient=True, refresh_per_second=REDRAWN_PER_S)
            self._live.start()
        self._live.update(drawn)
