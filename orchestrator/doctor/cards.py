"""Which card a check is about: the planned one; all of them where there is no plan; none where the CPU is planned."""

from __future__ import annotations

from orchestrator.doctor.context import Context
from orchestrator.facts.records import Gpu

NO_CARD_PLANNED = "the plan uses no GPU"
CARD_ABSENT = "the planned card is not there: gpu.present tells"


def asked_cards(context: Context) -> tuple[Gpu, ...] | str:
    """The cards, or why there are none to ask."""
    gpus = context.facts.gpu.gpus
    if context.plan is None:
        return gpus or "no card is visible"
    if context.plan.device.kind != "gpu":
        return NO_CARD_PLANNED
    found = planned_card(context)
    return (found,) if found is not None else CARD_ABSENT


def planned_card(context: Context) -> Gpu | None:
    uuid = context.planned.device.uuid
    return next((gpu for gpu in context.facts.gpu.gpus if uuid is not None and gpu.uuid == uuid), None)


def label(gpu: Gpu) -> str:
    return f"GPU {gpu.index} ({gpu.name})"
