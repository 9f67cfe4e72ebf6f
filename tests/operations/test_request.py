from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.operations.request import load_spec, presets


def test_the_shipped_presets() -> None:
    assert presets() == ["ci", "embed", "rag"]


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_valid(name: str) -> None:
    assert load_spec(name, {"stack": "default"}).ports


def test_flags_overrule_the_preset_key_by_key() -> None:
    spec = load_spec("rag", {"ports": {"webui": 3005}, "target": {"tokens_per_doc": 64}, "model": None})
    assert spec.ports == {"webui": 3005, "embeddings": 8001, "vectors": 8002}
    assert spec.target.tokens_per_doc == 64
    assert spec.target.docs_per_s == 800
    assert spec.model is None


def test_a_wrong_key_in_a_file_names_the_file_and_the_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("services: [embeddings]\nmodle: x\n")
    with pytest.raises(OrchestratorError) as refused:
        load_spec(str(path), {})
    assert refused.value.exit_code == 2
    assert "mine.yaml" in refused.value.message
    assert "modle" in refused.value.message


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "retrieval: {chunk_size: big}"])
def test_a_broken_file_is_a_usage_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(OrchestratorError) as refused:
        load_spec(str(path), {})
    assert refused.value.exit_code == 2
