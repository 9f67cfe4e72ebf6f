"""`run -- CMD`, the library and the pytest plugin on real servers: llama-server, which starts in a second."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator import Stack
from tests.integration.conftest import ORCHESTRATOR, ROOT, Tool
from tests.integration.real_programs import free_port, gguf_of
from tests.integration.test_up_native import processes_of

SAMPLE = ROOT / "examples/sample_app"
AS_FROM_A_SHELL = ["env", "--default-signal=INT"]
"""A test run in the background ignores SIGINT, and what it starts would inherit that."""

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def light(request: pytest.FixtureRequest) -> list[str]:
    """An embedding server alone, on weights that are here."""
    return ["embed", "--engine", "native", "--backend", "llamacpp", "--model", str(gguf_of(request))]


def stacks(home: Path) -> set[str]:
    return {path.name for path in (home / "stacks").glob("run-*")}


def test_the_sample_apps_tests_run_against_a_stack_of_their_own(tool: Tool, home: Path, light: list[str]) -> None:
    before = stacks(home)
    pytest_command = [sys.executable, "-m", "pytest", "tests"]
    done = tool.run("run", *light, "--", *pytest_command, cwd=SAMPLE, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert done.stderr.count("verify the vectors") == 1  # the fixture took the stack that `run` had proven
    assert stacks(home) == before


def test_ctrl_c_ends_the_command_and_leaves_nothing_running(tool: Tool, home: Path, light: list[str]) -> None:
    before = stacks(home)
    process = subprocess.Popen(
        [*AS_FROM_A_SHELL, *ORCHESTRATOR, "run", *light, "--", "sh", "-c", "echo $ORCHESTRATOR_STACK_NAME; sleep 600"],
        env=tool.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    name = process.stdout.readline().strip()
    folder = home / "stacks" / name
    assert processes_of(folder)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 128 + signal.SIGINT, err
    assert processes_of(folder) == []
    assert stacks(home) == before


def test_interrupted_on_the_way_up_nothing_is_left(tool: Tool, home: Path, light: list[str]) -> None:
    name = "interrupted"
    process = tool.start("run", "--stack", name, *light, "--port", f"embeddings={free_port()}", "--", "true")
    folder = home / "stacks" / name
    deadline = time.monotonic() + 60
    while not processes_of(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 130, err
    assert processes_of(folder) == []


def test_a_stack_that_was_up_stays_up(tool: Tool, light: list[str]) -> None:
    preset, *flags = light
    where = ["--port", f"embeddings={free_port()}"]
    tool.json("up", preset, *flags, *where, "--stack", "kept")
    try:
        done = tool.run("run", "--stack", "kept", "--", "sh", "-c", "echo $OPENAI_BASE_URL; exit 7")
        assert done.returncode == 7, done.stderr
        environment = Stack("kept").environment()
        assert done.stdout.strip() == environment["OPENAI_BASE_URL"]
        told = json.loads(tool.run("run", "--json", "--stack", "kept", "--", "echo", "words").stdout)["data"]
        assert (told["kept"], told["addresses"]["EMBEDDINGS_URL"]) == (True, environment["EMBEDDINGS_URL"])
        stack = Stack("kept")
        assert stack.is_up()
        assert stack.status().ok
        assert stack.logs("embeddings", lines=5)["embeddings"]
        assert stack.up().data["changed"] is False
    finally:
        assert Stack("kept").down(volumes=True).data["stopped"] == ["embeddings"]
