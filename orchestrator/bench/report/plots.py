"""Axes and marks as SVG text. Colours are CSS classes, so that one page is right in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from orchestrator.bench.report.words import number

LEFT, RIGHT, TOP, BOTTOM = 62.0, 14.0, 14.0, 40.0
LABEL_GAP = 13.0
"""Two labels closer than this many units would touch."""

Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From values to places on the picture."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        return log_ticks(self.low, self.high, most) if self.log else round_ticks(self.low, self.high, most)


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten; with as many between them as there is room for."""
    for factors, step in (((1, 1.5, 2, 3, 4, 5, 6, 8), 1), ((1, 2, 5), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [f * 10.0**p for p in powers if p % step == 0 for f in factors if low <= f * 10.0**p <= high]
        if len(ticks) <= most + 1:
            return ticks
    return ticks


def headroom(highest: float) -> float:
    """The upper end of an axis from zero: a little above the highest value, never zero."""
    return highest * 1.08 if highest > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A picture with two axes; marks are drawn over its grid."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]
    x_title: str
    y_title: str
    log_x: bool = False
    log_y: bool = False

    @property
    def across(self) -> Scale:
        return Scale(low=self.x[0], high=self.x[1], start=LEFT, end=self.width - RIGHT, log=self.log_x)

    @property
    def up(self) -> Scale:
        return Scale(low=self.y[0], high=self.y[1], start=self.height - BOTTOM, end=TOP, log=self.log_y)

    def svg(self, label: str, marks: Iterable[str]) -> str:
        body = "".join((*self._grid(), *marks))
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{escape(label)}">'
            f"<title>{escape(label)}</title>{body}</svg>"
        )

    def _grid(self) -> list[str]:
        left, right, floor = LEFT, self.width - RIGHT, self.height - BOTTOM
        parts = []
        for tick in self.up.ticks(5):
            y = self.up(tick)
            parts.append(f'<line class="grid" x1="{left}" x2="{right:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
        for tick in self.across.ticks(max(int(self.width / 90), 3)):
            x = self.across(tick)
            parts.append(f'<line class="grid faint" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor:g}"/>')
            anchor = "end" if x > right - 12 else "middle"
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{floor + 16:g}" text-anchor="{anchor}">{number(tick)}</text>'
            )
        parts.append(f'<line class="axis" x1="{left}" x2="{right:g}" y1="{floor:g}" y2="{floor:g}"/>')
        middle = (left + right) / 2
        parts.append(
            f'<text class="title" x="{middle:g}" y="{self.height - 6:g}" text-anchor="middle">'
            f"{escape(self.x_title)}</text>"
        )
        parts.append(
            f'<text class="title" transform="translate(13 {(TOP + floor) / 2:g}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_title)}</text>"
        )
        return parts

    def line(self, points: Pairs, kind: str) -> str:
        path = "M" + "L".join(f"{self.across(x):.1f} {self.up(y):.1f}" for x, y in points)
        return f'<path class="line {kind}" d="{path}"/>' if points else ""

    def steps(self, edges: Sequence[float], values: Sequence[float], kind: str) -> str:
        """A filled staircase: each value holds for its whole bin."""
        floor = self.up(self.y[0])
        outline = [f"{self.across(edges[0]):.1f} {floor:.1f}"]
        top = []
        for low, high, value in zip(edges[:-1], edges[1:], values, strict=True):
            y = self.up(value)
            top += [f"{self.across(low):.1f} {y:.1f}", f"{self.across(high):.1f} {y:.1f}"]
        fill = "M" + "L".join([*outline, *top, f"{self.across(edges[-1]):.1f} {floor:.1f}"]) + "Z"
        return f'<path class="area {kind}" d="{fill}"/><path class="line {kind}" d="M{"L".join(top)}"/>'

    def dots(self, points: Pairs, kind: str, radius: float = 1.8) -> str:
        """One path for all: thousands of circles would make a heavy page."""
        right, left = (f"a{radius:g} {radius:g} 0 1 0 {way * 2 * radius:g} 0" for way in (1, -1))
        moves = "".join(f"M{self.across(x) - radius:.1f} {self.up(y):.1f}{right}{left}" for x, y in points)
        return f'<path class="dots {kind}" d="{moves}"/>' if points else ""

    def column(self, low: float, high: float, value: float, tip: str) -> str:
        x, y = self.across(low), self.up(value)
        width, height = max(self.across(high) - x - 1.0, 0.5), max(self.up(self.y[0]) - y, 0.0)
        return (
            f'<rect class="column" x="{x + 0.5:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5">'
            f"<title>{escape(tip)}</title></rect>"
        )

    def band_across(self, low: float, high: float, kind: str) -> str:
        """A horizontal band: an interval of the value."""
        top = self.up(high)
        height = max(self.up(low) - top, 1.0)
        return (
            f'<rect class="band {kind}" x="{LEFT}" width="{self.width - RIGHT - LEFT:g}" '
            f'y="{top:.1f}" height="{height:.1f}"/>'
        )

    def band_up(self, low: float, high: float, kind: str, text: str) -> str:
        """A vertical band: a stretch of time."""
        x = self.across(low)
        width = max(self.across(high) - x, 0.0)
        return (
            f'<rect class="band {kind}" x="{x:.1f}" width="{width:.1f}" y="{TOP}" '
            f'height="{self.height - BOTTOM - TOP:g}"/>'
            f'<text class="note" x="{x + 4:.1f}" y="{TOP + 11:g}">{escape(text)}</text>'
        )

    def rules(self, levels: Sequence[tuple[float, str, str]]) -> str:
        """Horizontal lines (value, kind, text). Labels that would touch are moved apart."""
        parts, taken = [], list[float]()
        for value, kind, text in sorted(levels, key=lambda level: level[0]):
            y = self.up(value)
            at = y - 4
            while any(abs(at - other) < LABEL_GAP for other in taken):
                at -= 1
            at = max(at, TOP + 8) if not any(abs(TOP + 8 - other) < LABEL_GAP for other in taken) else at
            taken.append(at)
            parts.append(
                f'<line class="rule {kind}" x1="{LEFT}" x2="{self.width - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
            parts.append(
                f'<text class="label {kind}" x="{self.width - RIGHT - 4:g}" y="{at:.1f}" text-anchor="end">'
                f"{escape(text)}</text>"
            )
        return "".join(parts)

    def marker(self, value: float, text: str, row: int, kind: str = "marker") -> str:
        """A vertical line with its label at the top: the first one's to the left, the others' to the right."""
        x = self.across(value)
        left = row == 0 or x > self.width - RIGHT - 70
        anchor, shift = ("end", -5) if left else ("start", 5)
        return (
            f'<line class="rule {kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{self.height - BOTTOM:g}"/>'
            f'<text class="label {kind}" x="{x + shift:.1f}" y="{TOP + 9 + 13 * row:g}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def point(self, x: float, y: float, text: str, kind: str, drop: float = 18.0) -> str:
        """One big dot with its words `drop` units below it (above, where negative)."""
        left, top = self.across(x), self.up(y)
        near_the_end = left > self.width * 0.62
        anchor, shift = ("end", -10) if near_the_end else ("start", 10)
        return (
            f'<circle class="point {kind}" cx="{left:.1f}" cy="{top:.1f}" r="5.5"/>'
            f'<text class="label strong {kind}" x="{left + shift:.1f}" y="{top + drop:.1f}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )
