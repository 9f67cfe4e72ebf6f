"""Error texts of the real upstreams → what they mean → what to do. Used by `up`, `logs` and `doctor` alike.

The most specific stands first: the first rule whose pattern is found in a log is its cause, wherever in the log it
stands (vLLM writes the cause far above its last line). tests/doctor/test_causes.py holds each text as it was measured,
read in the source, or reported in the upstream's tracker.
"""

from __future__ import annotations

import re
from functools import cache

from orchestrator.doctor.causes import (
    chroma,
    docker,
    llamacpp,
    nvidia,
    ollama,
    open_webui,
    pip,
    sources,
    system,
    vllm,
)
from orchestrator.doctor.causes.rule import Cause, Rule

RULES: tuple[Rule, ...] = (
    *vllm.RULES,
    *llamacpp.RULES,
    *nvidia.RULES,
    *ollama.RULES,
    *open_webui.RULES,
    *chroma.RULES,
    *docker.RULES,
    *pip.RULES,
    *sources.RULES,
    *system.RULES,
)


def match_cause(log_text: str) -> Cause | None:
    """The cause that a log tells, if it is one that we know."""
    return next((rule.cause for rule, pattern in _compiled() if pattern.search(log_text)), None)


@cache
def _compiled() -> tuple[tuple[Rule, re.Pattern[str]], ...]:
    return tuple((rule, re.compile(rule.pattern, re.IGNORECASE | re.MULTILINE)) for rule in RULES)
