"""Whether Docker is asked at all: a stack of native processes has no business with it."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.doctor.check import Answer, not_applicable
from orchestrator.doctor.context import Context


def with_docker(answer: Callable[[Context], Answer]) -> Callable[[Context], Answer]:
    """Every check of Docker begins with this question, so that each says the same where it is asked alone."""

    def asked(context: Context) -> Answer:
        why_not = without_docker(context)
        return not_applicable(why_not) if why_not else answer(context)

    return asked


def without_docker(context: Context) -> str | None:
    if context.plan is not None:
        return None if context.plan.engine == "compose" else "this plan runs native processes, not containers"
    return "the native engine was asked for" if context.spec.engine == "native" else None


def wants_gpu(context: Context) -> bool:
    """The plan's device; before there is a plan, whether it could take a card."""
    if context.plan is not None:
        return context.plan.device.kind == "gpu"
    return bool(context.facts.gpu.gpus) and context.spec.gpu != "none"
