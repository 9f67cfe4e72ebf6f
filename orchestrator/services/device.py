"""Which card an embedding server may see: the engine passes one to a container; natively a variable hides the rest."""

from __future__ import annotations

from orchestrator.plan.records import Plan
from orchestrator.services.place import Place


def device_environment(plan: Plan, place: Place) -> dict[str, str]:
    """By uuid: CUDA's own numbering (fastest first) is not NVML's (bus order)."""
    return {} if place.container else {"CUDA_VISIBLE_DEVICES": plan.device.uuid or ""}


def device_note(plan: Plan) -> dict[str, str]:
    name = f"{plan.device.name}: {plan.reasons.get('device', 'chosen by the plan')}"
    return {"gpu": name, "CUDA_VISIBLE_DEVICES": name}
