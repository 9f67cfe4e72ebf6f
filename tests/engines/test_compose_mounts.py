"""Model folders made of links."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.catalog.pins import load_pins
from orchestrator.engines.compose_mounts import refuse_links_that_lead_out
from orchestrator.engines.compose_place import compose_place
from orchestrator.errors import OrchestratorError
from orchestrator.services.of_plan import services_of
from orchestrator.services.service import Service
from tests.plans import plan_of


def services(model: Path) -> tuple[Service, ...]:
    plan = plan_of()
    return services_of(plan, compose_place(plan, model, load_pins()), load_pins())


def test_a_snapshot_of_the_hub_cache_is_refused_with_the_way_out(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots/abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (blobs / "f00").write_text("weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/f00")
    with pytest.raises(OrchestratorError, match="links that lead out") as refused:
        refuse_links_that_lead_out(services(snapshot))
    assert "cp -rL" in refused.value.remedy
    assert "blobs/f00" in refused.value.evidence


def test_links_inside_the_folder_and_a_linked_folder_are_fine(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "a").write_text("x")
    (model / "b").symlink_to("a")
    (tmp_path / "alias").symlink_to("model")
    refuse_links_that_lead_out(services(model))
    refuse_links_that_lead_out(services(tmp_path / "alias"))
