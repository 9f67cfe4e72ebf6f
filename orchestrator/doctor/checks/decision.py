"""Whether there is a plan at all: without one, no check of the plan can be asked."""

from __future__ import annotations

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.context import Context


def made(context: Context) -> Answer:
    plan = context.plan
    if plan is not None:
        origin = "as `up` decided" if context.stack is not None else "what `up` would decide now"
        device = plan.device.name if plan.device.kind == "gpu" else "CPU"
        return passed(f"{plan.model}, {plan.backend} {plan.weights.dtype}, {device}, {plan.engine}; {origin}")
    if context.folder is None:
        return not_applicable(context.no_plan)
    return bad(
        "no plan",
        context.no_plan,
        "see every candidate with its numbers, or decide afresh where a recorded plan cannot be read:",
        "orchestrator plan --explain",
        context.up_with("--replan"),
    )


MADE = Check(
    id="plan.made",
    area="model",
    question="Is there a plan that fits this machine?",
    reads=("the stack's plan.json", "what `orchestrator plan` decides where there is no stack"),
    severity="fail",
    answer=made,
)
CHECKS = (MADE,)
