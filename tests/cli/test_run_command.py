from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.cli.main import run


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.mark.parametrize("arguments", [(), ("--",), ("embed", "--")])
def test_without_a_command_nothing_is_begun(capfdbinary, home: Path, arguments: tuple[str, ...]) -> None:
    assert run(["run", "--json", *arguments]) == 2
    error = json.loads(capfdbinary.readouterr().out)["error"]
    assert error["remedy"] == "orchestrator run -- pytest tests"
    assert not home.exists()


def test_options_after_the_dashes_are_the_commands(capfdbinary) -> None:
    """`--json` and `--stack` there are not ours."""
    assert run(["run", "--", "no-such-program", "--json", "--stack", "Bad Name"]) == 2
    out = capfdbinary.readouterr()
    assert out.out == b""
    assert b"no-such-program" in out.err
