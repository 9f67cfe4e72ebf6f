"""docs/how-it-decides.md says what the program does: its commands run, its figures come out."""

import re
import shlex
from pathlib import Path

import pytest

from orchestrator.cli.main import run

PAGE = (Path(__file__).parents[2] / "docs/how-it-decides.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
WORKED = re.search(r"`orchestrator (plan [^`]*--explain)`:\n\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "98")


def test_there_is_something_to_check():
    assert len(COMMANDS) >= 8
    assert WORKED is not None


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(capfd, line):
    """Exit 1 (`no_plan`) is an answer too: on a machine that can reach nothing, nothing fits."""
    words = shlex.split(line)
    code = run(words[1:])
    assert code == 0 or (code == 1 and "--assume-sources" not in words)
    assert capfd.readouterr().out


def test_the_worked_example_is_what_comes_out(capfd):
    assert run(shlex.split(WORKED[1])) == 0
    shown = capfd.readouterr().out.splitlines()
    for line in filter(None, WORKED[2].splitlines()):
        assert any(real.startswith(line.removesuffix(" …")) for real in shown), line


@pytest.mark.parametrize(("used", "row"), re.findall(r"^\| (nothing|\d GiB) \| (.*) GiB \|$", PAGE, re.MULTILINE))
def test_the_table_of_memory_in_use(capfd, used, row):
    import json

    taken = "" if used == "nothing" else f", {used} used"
    assert run(["plan", "--simulate", f"RTX 3060 12GB{taken}", "--assume-sources", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)["data"]["plan"]
    backend = {"vllm": "vLLM", "ollama": "Ollama"}[plan["backend"]]
    assert row.startswith(f"{backend} {plan['weights']['dtype']}, {plan['max_length']:,} tokens")
    assert row.endswith(f"{plan['memory']['need_bytes'] / 2**30:.2f}")
    assert ("CUDA graphs" in row) == (plan["backend"] == "vllm" and "--enforce-eager" not in plan["backend_args"])
