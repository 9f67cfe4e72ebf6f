"""The plan's `backend_args` (name → value) as what a server reads: flags for its argv, variables for its environment.

A name says which it is: `--max-model-len` is a flag, `VLLM_CPU_KVCACHE_SPACE` a variable, and anything else
(`num_ctx`) a parameter of Ollama's derived model, which its client sets.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.plan.records import Plan

Setting = str | int | float | bool


def flags_of(settings: Mapping[str, Setting], defaults: Mapping[str, Setting] | None = None) -> tuple[str, ...]:
    """argv of all flags. `defaults` are what the server always needs; a value of the plan counts more.

    True stands for a flag without a value, False for no flag.
    """
    flags = {**(defaults or {}), **{name: value for name, value in settings.items() if name.startswith("-")}}
    return tuple(word for name, value in flags.items() for word in _words(name, value))


def variables_of(settings: Mapping[str, Setting]) -> dict[str, str]:
    return {name: _text(value) for name, value in settings.items() if name[0].isupper() and name == name.upper()}


def reasons_of(plan: Plan) -> dict[str, str]:
    """The plan's own reasons for its settings, by flag: they stand as comments beside them."""
    return {name: plan.reasons[name] for name in plan.backend_args if name in plan.reasons}


def _words(name: str, value: Setting) -> tuple[str, ...]:
    if isinstance(value, bool):
        return (name,) if value else ()
    return (name, str(value))


def _text(value: Setting) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
