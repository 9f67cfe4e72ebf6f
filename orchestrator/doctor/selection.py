"""Which of the checks are asked: by id, by the beginning of an id (`gpu.`), by area; and which are skipped, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

import msgspec

from orchestrator.doctor.check import Check, Stage
from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.result import Finding

BY_USER = "skipped by --skip"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Empty: everything that applies."""

    only: tuple[str, ...] = ()
    skip: dict[str, str] = {}
    """What is not asked → why."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    asked: tuple[Check, ...]
    skipped: tuple[Finding, ...]
    """Not asked because the user said so. What needs them is asked as if they held."""
    wanted: tuple[Check, ...]
    """Both together, in the catalogue's order: what there will be a finding of."""


def choose(checks: Collection[Check], selection: Selection, stages: Collection[Stage]) -> Chosen:
    """A check that is named is asked whatever its stage: it then says itself what it lacks."""
    named = [check for word in selection.only for check in matching(checks, word, "--only")]
    reasons = {
        check.id: reason for word, reason in selection.skip.items() for check in matching(checks, word, "--skip")
    }
    wanted = [check for check in checks if (check in named if selection.only else check.stage in stages)]
    return Chosen(
        asked=tuple(check for check in wanted if check.id not in reasons),
        skipped=tuple(_skipped(check, reasons[check.id]) for check in wanted if check.id in reasons),
        wanted=tuple(wanted),
    )


def matching(checks: Iterable[Check], word: str, option: str) -> tuple[Check, ...]:
    """The check of that id, all below that beginning (it ends in a dot), or all of that area."""
    listed = tuple(checks)
    found = tuple(check for check in listed if _matches(check, word))
    if not found:
        raise _unknown(listed, word, option)
    return found


def paired(skips: tuple[str, ...], reasons: tuple[str, ...]) -> dict[str, str]:
    """Each `--skip` with its `--reason`, in the order given; one reason alone is that of all."""
    if skips and not reasons:
        raise usage_error(
            "--skip", skips[0], "a skip needs a reason", f'add --reason TEXT: --skip {skips[0]} --reason "…"'
        )
    if reasons and not skips:
        raise usage_error("--reason", reasons[0], "there is no --skip that it belongs to", "add --skip ID")
    blank = next((reason for reason in reasons if not reason.strip()), None)
    if blank is not None:
        raise usage_error("--reason", blank, "is empty", "say why, for whoever reads the report")
    if len(reasons) not in (1, len(skips)):
        raise usage_error(
            "--reason", reasons, f"{len(reasons)} reasons for {len(skips)} skips", "give one for all, or one for each"
        )
    return dict(zip(skips, reasons * len(skips) if len(reasons) == 1 else reasons, strict=False))


def was_skipped(finding: Finding) -> bool:
    """Because the user said so; all other skips have their own cause."""
    return finding.verdict == "skip" and finding.evidence == BY_USER


def _matches(check: Check, word: str) -> bool:
    return word in (check.id, check.area) or (word.endswith(".") and check.id.startswith(word))


def _unknown(checks: tuple[Check, ...], word: str, option: str) -> OrchestratorError:
    beginnings = {f"{check.id.partition('.')[0]}." for check in checks}
    names = [*(check.id for check in checks), *sorted(beginnings), *sorted({check.area for check in checks})]
    near = get_close_matches(word, names, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}? " if near else ""
    return usage_error(option, word, "no check has this id", f"{remedy}`orchestrator doctor --list` shows all")


def _skipped(check: Check, reason: str) -> Finding:
    return Finding(
        id=check.id,
        verdict="skip",
        question=check.question,
        evidence=BY_USER,
        reason=reason,
        docs=check.docs,
    )
