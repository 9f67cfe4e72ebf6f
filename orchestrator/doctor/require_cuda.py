"""NVIDIA_REQUIRE_CUDA, the variable in which an image says what driver it needs, judged as NVIDIA's toolkit does.

Alternatives stand side by side (any one is enough), conditions of one are joined by commas (all must hold):
`cuda>=12.8 brand=tesla,driver>=535,driver<536`.
"""

from __future__ import annotations

import operator
import re
from typing import Literal

COMPARISONS = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
Verdict = Literal["holds", "for_some_brands", "fails"]


def judge(requirement: str, *, cuda: str | None, driver: str | None) -> Verdict:
    """The brand of a card (tesla, geforcertx, ...) is not known here: an alternative that asks for one may hold."""
    alternatives = [_conditions(alternative) for alternative in requirement.split()]
    have = {"cuda": _numbers(cuda), "driver": _numbers(driver)}
    open_ones = [brands for brands, rest in alternatives if all(_holds(condition, have) for condition in rest)]
    if not alternatives or 0 in open_ones:
        return "holds"
    return "for_some_brands" if open_ones else "fails"


def _conditions(alternative: str) -> tuple[int, list[tuple[str, str, str]]]:
    """How many of them ask for a brand, and all others as (name, comparison, value)."""
    found = re.findall(r"([a-z]+)(>=|<=|!=|=|>|<)([^,]+)", alternative)
    return sum(name == "brand" for name, _, _ in found), [one for one in found if one[0] != "brand"]


def _holds(condition: tuple[str, str, str], have: dict[str, tuple[int, ...] | None]) -> bool:
    """What is not known (`arch`, a driver that does not tell) does not stand in the way, as in the toolkit."""
    name, comparison, value = condition
    version = have.get(name)
    wanted = _numbers(value)
    if version is None or wanted is None:
        return True
    length = min(len(version), len(wanted))
    return bool(COMPARISONS[comparison](version[:length], wanted[:length]))


def _numbers(version: str | None) -> tuple[int, ...] | None:
    parts = re.findall(r"\d+", version or "")
    return tuple(map(int, parts)) or None
