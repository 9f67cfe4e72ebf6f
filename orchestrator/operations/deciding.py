"""From a Spec and Facts to a Decision. Apart from `planning`, so that `plan` need not load what runs a stack."""

from __future__ import annotations

from orchestrator.facts.records import Facts
from orchestrator.plan.calibration import Measurement
from orchestrator.plan.records import Decision
from orchestrator.plan.spec import Spec


def load_catalogue() -> None:
    """Everything that a decision needs beside the facts. For a thread of its own, while the facts are still awaited."""
    from importlib import import_module

    from orchestrator.catalog.models import models
    from orchestrator.catalog.pins import load_pins

    import_module("orchestrator.plan.choose")
    models()
    load_pins()


def decision_for(spec: Spec, facts: Facts, measured: tuple[Measurement, ...] | None = None) -> Decision:
    """With the catalogue, the user's own model where one is named, and what earlier runs here measured (read where the
    caller has not)."""
    from orchestrator.catalog.gpus import cards
    from orchestrator.catalog.models import models
    from orchestrator.catalog.pins import load_pins
    from orchestrator.plan.choose import choose

    catalogue = models()
    own = None
    if spec.model is not None:
        from orchestrator.facts.model_files import own_model

        own = own_model(spec.model, {*catalogue, *(card.hf for card in catalogue.values() if card.hf), "auto"})
    if measured is None:
        from orchestrator.operations.calibration import experience_of

        measured = experience_of(facts)
    # Only a card is ever looked up among the cards: without one their file (15 ms) need not be read.
    known = cards() if facts.gpu.gpus else ()
    return choose(spec, facts, catalogue, known, load_pins(), own=own, measured=measured)
