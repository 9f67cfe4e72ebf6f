from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.main import run


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_schema_is_printed_alone(capfdbinary) -> None:
    assert run(["config", "schema"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["title"] == "orchestrator.yaml"
    assert run(["config", "schema", "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["data"]["schema"]["title"] == "orchestrator.yaml"


def test_show_for_people_and_as_data(capfdbinary, here: Path) -> None:
    (here / "orchestrator.yaml").write_text("engine: native\n")
    assert run(["config", "show", "--max-length", "64"]) == 0
    shown = capfdbinary.readouterr().out.decode()
    assert "orchestrator.yaml:1" in shown
    assert "--max-length" in shown
    assert run(["config", "show", "--json"]) == 0
    settings = json.loads(capfdbinary.readouterr().out)["data"]["settings"]
    assert settings["engine"]["value"] == "native"


def test_a_file_here_names_the_stack_for_every_verb(capfdbinary, here: Path) -> None:
    (here / "orchestrator.yaml").write_text("stack: team\n")
    assert run(["status", "--json"]) == 1
    assert json.loads(capfdbinary.readouterr().out)["error"]["remedy"] == "orchestrator up --stack team"
    assert run(["status", "--stack", "other", "--json"]) == 1
    assert json.loads(capfdbinary.readouterr().out)["error"]["remedy"] == "orchestrator up --stack other"
    assert run(["config", "show", "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["data"]["settings"]["stack"]["value"] == "team"


def test_a_mistake_in_another_key_does_not_stop_down(capfdbinary, here: Path) -> None:
    (here / "orchestrator.yaml").write_text("stack: team\nmodle: x\n")
    assert run(["down", "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["data"]["stack"] == "team"
    assert run(["plan", "--json"]) == 2


def test_the_stack_variable_overrules_the_file(capfdbinary, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "orchestrator.yaml").write_text("stack: team\n")
    monkeypatch.setenv("ORCHESTRATOR_STACK_NAME", "pipeline")
    assert run(["status", "--json"]) == 1
    assert "pipeline" in json.loads(capfdbinary.readouterr().out)["error"]["remedy"]
    assert run(["config", "show", "--json"]) == 0
    assert json.loads(capfdbinary.readouterr().out)["data"]["settings"]["stack"]["set_by"] == "environment"


def test_init_writes_what_config_show_reads(capfdbinary, here: Path) -> None:
    assert run(["init", "--yes", "--json"]) == 0
    written = json.loads(capfdbinary.readouterr().out)["data"]["settings"]
    assert run(["config", "show", "--json"]) == 0
    shown = json.loads(capfdbinary.readouterr().out)["data"]["settings"]
    assert {path: shown[path]["value"] for path in written} == written
    assert run(["init", "--yes", "--json"]) == 2
    assert "--force" in json.loads(capfdbinary.readouterr().out)["error"]["remedy"]


def test_init_without_a_terminal_says_so(capfdbinary, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert run(["init", "--json"]) == 2
    assert "--yes" in json.loads(capfdbinary.readouterr().out)["error"]["message"]


def test_init_asks_on_a_terminal(here: Path) -> None:
    """A wrong answer is asked again; a port of a service that was left out is not asked for."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "init"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.write(ours, b"embeddings\nall-minilm-l6-v2\nnaive\nnative\n8101\n")
    _, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0, err
    assert b"write native" in err
    assert b"ports.webui" not in err
    text = (here / "orchestrator.yaml").read_text()
    for line in ("services: [embeddings]", "model: all-minilm-l6-v2", "engine: native", "  embeddings: 8101"):
        assert f"\n{line}\n" in text
