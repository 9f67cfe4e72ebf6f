"""A value as YAML that Compose reads back unchanged: plain where that is safe, else double-quoted. Pure."""

from __future__ import annotations

import json
import re

PLAIN = re.compile(r"-{0,2}[A-Za-z/][A-Za-z0-9/_-]*(?:\.[A-Za-z0-9/_-]+)*")
WORDS_WITH_A_MEANING = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
INVISIBLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON may hold as they are and YAML may not (YAML 1.1, 5.1)."""


def scalar(value: object) -> str:
    """Plain for words and paths, double-quoted for everything that YAML or Compose could take for something else."""
    word = str(value)
    if isinstance(value, int) or (PLAIN.fullmatch(word) and word.lower() not in WORDS_WITH_A_MEANING):
        return word
    return text(word)


def text(value: object) -> str:
    """Always a string, also for `3000` and `true`. `$` is doubled: Compose would look for a variable."""
    quoted = json.dumps(str(value).replace("$", "$$"), ensure_ascii=False)
    return INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
