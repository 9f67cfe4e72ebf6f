"""Takes out of a text what must not leave the machine: secrets, home folders, who and where it was. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

import msgspec

SHORTEST = 8
"""A shorter secret would take ordinary words with it. Ours have at least 24 characters."""
NOT_A_PERSON = frozenset({"root", "localhost", "nobody", "user"})
"""Names that tell nothing and stand everywhere (`rootless`, `http://localhost`)."""

_CREDENTIALS = re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)")
_BEARER = re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]{8,}")
_TOKENS = re.compile(r"\b(?:hf_|sk-|ghp_|glpat-)[A-Za-z0-9_-]{16,}")
_ASSIGNED = re.compile(
    r"""(?ix)(\b(?:[\w-]*[_-])?(?:password|passwd|token|secret|(?:api|secret|private)[_-]?key)["']?\s*[=:]\s*["']?)
    ([^\s"',}]{8,})"""
)
"""`HF_TOKEN=…`, `"api_key": "…"`: whoever's they are. A short value is a setting (`max_token: 12`), not a secret."""
_HOMES = re.compile(r"(/home|/Users)/[^/\s\"':]+")


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """What is private here."""

    secrets: tuple[str, ...] = ()
    folders: tuple[tuple[str, str], ...] = ()
    """A folder's path → what stands for it, such as `$ORCHESTRATOR_HOME`."""
    names: tuple[tuple[str, str], ...] = ()
    """A user's or a host's name → what stands for it."""

    def __repr__(self) -> str:
        return f"Private({len(self.secrets)} secrets)"


def redacted(text: str, private: Private) -> str:
    for form in _forms(private.secrets):
        text = text.replace(form, "<secret>")
    for path, stand_in in sorted(private.folders, key=lambda pair: -len(pair[0])):
        text = _replaced(rf"{re.escape(path.rstrip('/'))}(?![\w-])", stand_in, text)
    text = _HOMES.sub(r"\1/<user>", text)
    for name, stand_in in private.names:
        if name and name.lower() not in NOT_A_PERSON:
            text = _replaced(rf"(?<![\w-]){re.escape(name)}(?![\w-])", stand_in, text)
    text = _CREDENTIALS.sub("<secret>", text)
    text = _BEARER.sub(r"\1<secret>", text)
    text = _TOKENS.sub("<secret>", text)
    return _ASSIGNED.sub(_without_value, text)


def _replaced(pattern: str, literal: str, text: str) -> str:
    return re.sub(pattern, literal.replace("\\", r"\\"), text)


def _without_value(found: re.Match[str]) -> str:
    """A reference to a secret is none: `${WEBUI_SECRET_KEY}`, `/run/secrets/key`, `<secret>`."""
    value = found[2]
    return found[0] if value[0] in "$/<{[(" else f"{found[1]}<secret>"


def _forms(secrets: Iterable[str]) -> list[str]:
    """As it is, and as JSON and URLs write it; longest first, as one may be the beginning of another."""
    forms = {
        form
        for secret in secrets
        if len(secret) >= SHORTEST
        for form in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, ""))
    }
    return sorted(forms, key=len, reverse=True)
