"""Everything that a decision is made from, in one record. Pure."""

from __future__ import annotations

import msgspec

from orchestrator.catalog.gpus import Card
from orchestrator.catalog.models import Model
from orchestrator.catalog.pins import Pins
from orchestrator.facts.records import Facts, OwnModel
from orchestrator.plan.calibration import Measurement
from orchestrator.plan.records import EngineName
from orchestrator.plan.spec import Spec


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    spec: Spec
    facts: Facts
    cards: tuple[Card, ...]
    pins: Pins
    own: OwnModel | None
    """The user's own model, where one was named."""
    wanted: tuple[Model, ...]
    """The models to consider, the preferred one first."""
    engine: EngineName
    engine_reason: str
    measured: tuple[Measurement, ...] = ()
    """What earlier runs on this machine measured."""
