"""Findings as lines for people: one a check, with what was read; more only where it did not pass. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from rich.text import Text

from orchestrator.cli.output import COLOURS, MARKS
from orchestrator.doctor.check import Area, Check
from orchestrator.doctor.listing import AREA_TITLES, Described
from orchestrator.doctor.runner import blocker_of
from orchestrator.doctor.selection import was_skipped
from orchestrator.result import Finding, Verdict

INDENT = "  "
DETAIL = " " * 6
LABEL_WIDTH = 7
ID_WIDTH = 24
"""Room for the id, so that what was read stands in one column; a longer id pushes its own line only."""
NARROWEST = 20
"""Columns that words keep on the narrowest terminal."""
COUNTED: dict[Verdict, str] = {
    "pass": "passed",
    "fixed": "fixed",
    "warn": "to look at",
    "fail": "failed",
    "error": "could not be asked",
}
BROKEN: tuple[Verdict, ...] = ("fail", "error")


class Style(msgspec.Struct, frozen=True, kw_only=True):
    width: int | None = None
    """Columns of the terminal; None in a pipe, where no line is ever broken."""
    verbose: bool = False
    """Every question, every skip with its reason."""
    command: str = "orchestrator doctor"
    """What a person types to ask of the same stack again."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of one area with their findings, and all findings so far: a skip is read by what blocked it."""

    area: Area
    checks: Mapping[str, Check]
    findings: Sequence[Finding]
    known: Mapping[str, Finding]


def area_lines(group: Group, style: Style) -> Iterator[Text]:
    """The area's title and its lines; nothing at all where nothing of it applies here."""
    lines = [
        line
        for finding in group.findings
        if style.verbose or not is_folded(finding)
        for line in finding_lines(finding, group.checks[finding.id], style)
    ]
    if not style.verbose:
        lines += _waiting_lines(group, style)
    if lines:
        yield Text(AREA_TITLES[group.area], style="bold")
        yield from lines
        yield Text("")


def is_folded(finding: Finding) -> bool:
    """Skips that nobody asked for: told together, not one by one."""
    return finding.verdict == "skip" and not was_skipped(finding)


def waits_for(finding: Finding, known: Mapping[str, Finding]) -> str | None:
    """The failed check that this one waits for; None where it merely does not apply."""
    blocker = blocker_of(finding)
    return blocker if blocker is not None and blocker in known and known[blocker].verdict in BROKEN else None


def finding_lines(finding: Finding, check: Check, style: Style) -> Iterator[Text]:
    colour = COLOURS[finding.verdict]
    head = Text(INDENT)
    head.append(MARKS[finding.verdict], style=colour)
    head.append(f" {finding.id:<{ID_WIDTH}} ", style="" if finding.verdict in ("pass", "skip") else f"bold {colour}")
    yield from hanging(head, _said(finding), style, "dim" if finding.verdict in ("pass", "skip") else "")
    if style.verbose or finding.verdict in ("warn", "fail", "error"):
        yield from hanging(Text(DETAIL), finding.question, style, "italic dim")
    if finding.verdict in ("warn", "fail", "error"):
        yield from _what_to_do(finding, check, style)


def summary_lines(findings: Sequence[Finding], seconds: float, fixable: Iterable[str], style: Style) -> Iterator[Text]:
    known = {finding.id: finding for finding in findings}
    idle = [f.id for f in findings if is_folded(f) and waits_for(f, known) is None]
    if idle and not style.verbose:
        count = Text(f"{len(idle)} {'does' if len(idle) == 1 else 'do'} not apply here: ", style="dim")
        yield from hanging(count, f"{_by_beginning(idle)}  (--verbose says why)", style, "dim", indent=INDENT)
        yield Text("")
    yield _counts(findings, known, len(idle), seconds)
    yield from _next_steps(findings, list(fixable), style)


def record_lines(check: Described, style: Style) -> Iterator[Text]:
    """A check in a list: its question, and what a bad answer is."""
    marks = f"{check.severity}, --fix" if check.fix else check.severity
    yield from hanging(Text(f"{INDENT}{check.id:<{ID_WIDTH}} "), f"{check.question}  {marks}", style, "")


def fix_line(check: Check, text: str, style: Style) -> Iterator[Text]:
    head = Text(INDENT)
    head.append("→", style="cyan")
    head.append(f" {check.id:<{ID_WIDTH}} ", style="bold cyan")
    yield from hanging(head, text, style, "")


def _by_beginning(names: Sequence[str]) -> str:
    """`gpu. (12), docker. (11), host.clock`: as `--only` takes them."""
    counts = Counter(f"{name.partition('.')[0]}." for name in names)
    single = {f"{name.partition('.')[0]}.": name for name in names}
    return ", ".join(single[start] if count == 1 else f"{start} ({count})" for start, count in counts.items())


def _said(finding: Finding) -> str:
    """What was read. A skip has read nothing: then why."""
    if finding.verdict == "skip":
        return f"skipped: {finding.reason}" if was_skipped(finding) else finding.reason
    if finding.verdict == "fixed":
        return f"fixed: {finding.evidence} ({finding.reason})"
    return finding.evidence or finding.reason


def _what_to_do(finding: Finding, check: Check, style: Style) -> Iterator[Text]:
    if finding.reason not in finding.evidence:  # else it was said in the line above
        yield from _labelled("why", finding.reason, style)
    yield from _labelled("fix", finding.remedy.text, style)
    for command in finding.remedy.commands:  # never broken: it is there to be copied
        yield Text(f"{DETAIL}{' ' * LABEL_WIDTH}{command}", style="bold")
    if check.fix is not None and finding.verdict in ("warn", "fail"):
        yield from _labelled("--fix", check.fix.text, style)
    yield from _labelled("see", finding.docs, style, "dim")


def _labelled(label: str, text: str, style: Style, text_style: str = "") -> Iterator[Text]:
    if text:
        head = Text(DETAIL)
        head.append(f"{label:<{LABEL_WIDTH}}", style="cyan")
        yield from hanging(head, text, style, text_style)


def _waiting_lines(group: Group, style: Style) -> Iterator[Text]:
    behind: dict[str, list[str]] = {}
    for finding in group.findings:
        blocker = waits_for(finding, group.known)
        if blocker is not None:
            behind.setdefault(blocker, []).append(finding.id)
    for blocker, names in behind.items():
        head = Text(f"{INDENT}{MARKS['skip']} {len(names)} {'waits' if len(names) == 1 else 'wait'} for {blocker}: ")
        head.stylize("dim")
        yield from hanging(head, ", ".join(names), style, "dim", indent=DETAIL)


def hanging(head: Text, words: str, style: Style, words_style: str, indent: str | None = None) -> Iterator[Text]:
    """`head` with the words after it, broken at the terminal's width into the column where they began.

    Lines that the words bring themselves (a diff, a log) stay lines.
    """
    space = " " * len(head.plain) if indent is None else indent
    first, *rest = words.splitlines() or [""]
    lines = [
        *_broken(first, " " * len(head.plain), space, style),
        *(line for more in rest for line in _broken(more, space, space, style)),
    ]
    line = head.copy()
    line.append(lines[0][len(head.plain) :], style=words_style)
    line.rstrip()
    yield line
    yield from (Text(line, style=words_style) for line in lines[1:])


def _broken(line: str, first: str, then: str, style: Style) -> list[str]:
    if style.width is None:
        return [first + line]
    room = max(style.width - 1, len(then) + NARROWEST)
    return textwrap.wrap(line, room, initial_indent=first, subsequent_indent=then, break_on_hyphens=False) or [first]


def _counts(findings: Sequence[Finding], known: Mapping[str, Finding], idle: int, seconds: float) -> Text:
    counts = Counter(finding.verdict for finding in findings)
    waiting = sum(waits_for(finding, known) is not None for finding in findings)
    by_user = sum(was_skipped(finding) for finding in findings)
    said = [
        (f"{MARKS[verdict]} {counts[verdict]} {word}", COLOURS[verdict])
        for verdict, word in COUNTED.items()
        if counts[verdict]
    ]
    said += [
        (f"- {count} {word}", "dim")
        for count, word in ((waiting, "waiting"), (by_user, "skipped"), (idle, "not applicable"))
        if count
    ]
    line = Text("   ").join(Text(text, style=colour) for text, colour in said)
    line.append(f"   {seconds:.1f} s", style="dim")
    return line


def _next_steps(findings: Sequence[Finding], fixable: list[str], style: Style) -> Iterator[Text]:
    wrong = [finding for finding in findings if finding.verdict in ("warn", "fail", "error")]
    if not wrong:
        return
    if fixable:
        yield from hanging(Text("next  "), f"{style.command} --fix  can put right: {', '.join(fixable)}", style, "")
    name = next((f.id for f in wrong if f.verdict == "fail"), wrong[0].id)
    head = Text("      " if fixable else "next  ")
    yield from hanging(head, f"{style.command} --explain {name}  says what it asks and reads", style, "dim")
