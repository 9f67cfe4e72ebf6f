from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestrator.configuration.keys import KEYS
from orchestrator.configuration.schema import schema_text
from orchestrator.errors import OrchestratorError
from orchestrator.operations.init import Chosen, init, refuse_existing, text_of
from orchestrator.operations.request import Asked, request

CHOSEN = {
    "services": Chosen(value=["embeddings"], reason="your answer"),
    "model": Chosen(value="all-minilm-l6-v2", reason="no GPU"),
    "ports.embeddings": Chosen(value=8101, reason="your answer"),
}


def test_it_is_read_back_as_it_was_chosen(tmp_path: Path) -> None:
    assert init(tmp_path, CHOSEN).data["settings"] == {
        "services": ("embeddings",),
        "model": "all-minilm-l6-v2",
        "ports.embeddings": 8101,
    }
    assert (tmp_path / "orchestrator.schema.json").read_text() == schema_text()
    first = (tmp_path / "orchestrator.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./orchestrator.schema.json"


def test_every_key_is_explained_and_every_example_is_valid(tmp_path: Path) -> None:
    """All lines uncommented make a configuration that is taken."""
    lines = []
    for line in text_of({}).splitlines():
        bare = line.replace("# ", "", 1)
        name = bare.split(":")[0].strip()
        if any(name in key.path.split(".") for key in KEYS) and yaml.safe_load(bare):
            lines.append(bare)
    path = tmp_path / "all.yaml"
    path.write_text("\n".join(lines))
    settings = request(Asked(config=path, environment={})).settings
    assert {path for path, setting in settings.items() if setting.origin.kind == "file"} == {key.path for key in KEYS}


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.yaml").write_text("mine")
    with pytest.raises(OrchestratorError) as refused:
        refuse_existing(tmp_path, force=False)
    assert refused.value.exit_code == 2
    assert "--force" in refused.value.remedy
    refuse_existing(tmp_path, force=True)
