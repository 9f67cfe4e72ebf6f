"""The front door: help, exit codes, the envelope on every kind of failure."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import click
import pytest

from orchestrator.cli.main import COMMANDS, cli, run


def orchestrator(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"ORCHESTRATOR_HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_verb_loads_and_has_help_with_an_example(name: str) -> None:
    command = import_module(f"orchestrator.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    shown = command.get_help(click.Context(command))
    assert "Example" in shown
    assert f"orchestrator {name}" in shown


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "completion"])
def test_every_verb_takes_json(name: str) -> None:
    command = import_module(f"orchestrator.cli.{name}").command
    for one in command.commands.values() if isinstance(command, click.Group) else [command]:
        assert any("--json" in parameter.opts for parameter in one.params)


def test_help_names_every_verb_without_loading_it(tmp_path: Path) -> None:
    done = orchestrator("--help", home=tmp_path)
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name}" in done.stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", "--help"], capture_output=True, text=True, check=True
    ).stderr
    for heavy in ("msgspec", "httpx", "rich", "docker", "yaml", "psutil"):
        assert f" {heavy}\n" not in loaded


def test_help_is_instant(tmp_path: Path) -> None:
    orchestrator("--help", home=tmp_path)
    times = []
    for _ in range(5):
        began = time.monotonic()
        orchestrator("--help", home=tmp_path)
        times.append(time.monotonic() - began)
    assert min(times) < 0.4  # 0.11 s on a quiet machine (measured); a heavy import costs more than the rest


def test_an_unknown_verb_names_the_nearest(tmp_path: Path) -> None:
    done = orchestrator("statsu", home=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'status'?" in done.stderr


def test_a_usage_error_is_one_json_object(tmp_path: Path) -> None:
    done = orchestrator("status", "--nonsense", "--json", home=tmp_path)
    assert done.returncode == 2
    envelope = json.loads(done.stdout)
    assert envelope["error"]["code"] == "usage"
    assert envelope["command"] == "status"
    assert envelope["exit_code"] == 2


def test_a_missing_stack_says_how_to_make_one(tmp_path: Path) -> None:
    done = orchestrator("status", "--json", home=tmp_path)
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "no_stack"
    assert error["remedy"] == "orchestrator up --stack default"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["--stack", "Bad Name"], "stack"),
        (["--port", "webui=99999"], "--port"),
        (["--port", "webui=8001"], "--port"),
        (["no-such-preset"], "PRESET"),
        (["--model", ""], "--model"),
        (["--vram", "lots"], "--vram"),
        (["--backend", "tgi"], "--backend"),
    ],
)
def test_bad_input_exits_2_names_the_field_and_writes_nothing(tmp_path: Path, arguments: list[str], field: str) -> None:
    done = orchestrator("up", *arguments, "--json", home=tmp_path)
    assert done.returncode == 2, done.stderr
    error = json.loads(done.stdout)["error"]
    assert field in error["message"]
    assert error["remedy"]
    assert list(tmp_path.iterdir()) == []


def test_our_own_fault_exits_3_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_options: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(cli, "main", broken)
    assert run(["status", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "internal"
    assert "ZeroDivisionError: boom" in error["message"]


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(**_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert run(["up", "--json"]) == 130
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "interrupted"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(tmp_path: Path, shell: str) -> None:
    done = orchestrator("completion", shell, home=tmp_path)
    assert done.returncode == 0
    assert "_ORCHESTRATOR_COMPLETE" in done.stdout


def test_completion_completes_a_verb(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator"],
        capture_output=True,
        text=True,
        env={"_ORCHESTRATOR_COMPLETE": "bash_complete", "COMP_WORDS": "orchestrator sta", "COMP_CWORD": "1"},
        check=False,
    )
    assert "status" in done.stdout
