"""A rule is data: a pattern in a log, and the cause that it tells."""

from __future__ import annotations

import msgspec


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    cause: str
    remedy: str
    commands: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    pattern: str
    cause: Cause


def rule(pattern: str, code: str, cause: str, remedy: str, *commands: str) -> Rule:
    return Rule(pattern=pattern, cause=Cause(code=code, cause=cause, remedy=remedy, commands=commands))
