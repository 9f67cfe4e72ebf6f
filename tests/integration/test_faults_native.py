"""Faults injected for real on the native engine, with the real `llama-server` (it starts in half a second)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.engines import llamacpp_build
from orchestrator.progress import Silent
from tests.integration.conftest import Tool
from tests.integration.test_up_native import processes_of

pytestmark = pytest.mark.integration

STACK = "faults"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def arguments(gguf: Path, port: int) -> list[str]:
    return [
        *("up", "embed", "--stack", STACK, "--engine", "native", "--backend", "llamacpp"),
        *("--model", str(gguf), "--port", f"embeddings={port}"),
    ]


@pytest.fixture(scope="module", autouse=True)
def built(tool: Tool, arguments: list[str]) -> Iterator[None]:
    """llama-server is built on the first `up` (minutes); the faults come after."""
    data = tool.json(*arguments, timeout_s=2400)["data"]
    assert data["services"]["embeddings"]["name"] == "llamacpp"
    yield
    tool.run("down", "--stack", STACK, "--volumes", "--yes")


@pytest.fixture(autouse=True)
def stopped(tool: Tool, built: None) -> None:
    assert tool.run("down", "--stack", STACK).returncode == 0


def healthy(tool: Tool) -> bool:
    return bool(tool.json("status", "--stack", STACK)["data"]["services"]["embeddings"]["healthy"])


def test_down_leaves_no_process_and_touches_no_stranger(tool: Tool, arguments: list[str], home: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "llama-server"])
    try:
        tool.json(*arguments)
        assert processes_of(home / "stacks" / STACK)
        tool.json("down", "--stack", STACK)
        assert processes_of(home / "stacks" / STACK) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("after_s", [0.2, 0.6, 1.0, 1.5, 2.5, 4.0])
def test_up_killed_at_any_moment_converges(tool: Tool, arguments: list[str], after_s: float) -> None:
    victim = tool.start(*arguments, "--replan")
    time.sleep(after_s)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.communicate()
    tool.json(*arguments)
    assert healthy(tool)


@pytest.mark.parametrize("after_s", [0.6, 1.5])
def test_ctrl_c_exits_130_and_the_next_up_converges(tool: Tool, arguments: list[str], after_s: float) -> None:
    victim = tool.start(*arguments, "--replan", "--json")
    time.sleep(after_s)
    os.killpg(victim.pid, signal.SIGINT)
    out, err = victim.communicate(timeout=30)
    if victim.returncode != 0:
        assert victim.returncode == 130, err
        assert json.loads(out)["error"]["code"] == "interrupted"
    assert "Traceback" not in err
    tool.json(*arguments)
    assert healthy(tool)


def test_a_killed_supervisor_leaves_orphans_that_the_next_up_adopts_or_replaces(
    tool: Tool, arguments: list[str], home: Path
) -> None:
    tool.json(*arguments)
    everything = processes_of(home / "stacks" / STACK)
    supervisor = next(process for process in everything if "supervisord" in " ".join(process.cmdline()))
    supervisor.kill()
    supervisor.wait(10)
    tool.json(*arguments)
    assert healthy(tool)
    tool.json("down", "--stack", STACK)
    assert processes_of(home / "stacks" / STACK) == []


def test_a_killed_server_comes_back_and_up_says_so(tool: Tool, arguments: list[str]) -> None:
    pid = tool.json(*arguments)["data"]["services"]["embeddings"]["pid"]
    psutil.Process(pid).kill()
    tool.json(*arguments)
    assert healthy(tool)
    assert tool.json("status", "--stack", STACK)["data"]["services"]["embeddings"]["pid"] != pid


def test_a_taken_port_names_its_holder_and_offers_the_next_free_one(tool: Tool, gguf: Path, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        before = sorted((home / "stacks").iterdir())
        envelope = tool.json(
            *("up", "embed", "--stack", "taken", "--engine", "native", "--backend", "llamacpp"),
            *("--model", str(gguf), "--port", f"embeddings={port}"),
            exit_code=1,
        )
    error = envelope["error"]
    assert str(port) in error["message"] + error["evidence"]
    assert f"pid {os.getpid()}" in error["message"] + error["evidence"]
    assert "--port embeddings=" in error["remedy"]
    assert not (home / "stacks/taken/plan.json").exists()
    assert processes_of(home / "stacks/taken") == []
    assert before


def test_a_server_that_cannot_start_shows_its_last_lines(tool: Tool, gguf: Path, tmp_path: Path) -> None:
    """A model file whose header is whole and whose weights are cut short: what a broken download leaves."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(gguf.read_bytes()[: gguf.stat().st_size // 2])
    envelope = tool.json(
        *("up", "embed", "--stack", "broken", "--engine", "native", "--backend", "llamacpp"),
        *("--model", str(broken), "--port", f"embeddings={free_port()}"),
        exit_code=1,
    )
    error = envelope["error"]
    assert error["code"] in ("start_failed", "model_damaged")
    assert error["evidence"] or error["message"]
    assert error["remedy"]
    tool.json("down", "--stack", "broken")


def supervisords_of(configuration: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if configuration in (process.info["cmdline"] or [])]


def wrapped(folder: Path, command: str) -> dict[str, str]:
    """An environment whose PATH has a `llama-server` that does this: the machine's own program comes first."""
    folder.mkdir()
    (folder / "llama-server").write_text(f"#!/bin/sh\n{command}\n")
    (folder / "llama-server").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_a_flag_that_the_server_does_not_know_is_named(tool: Tool, gguf: Path, tmp_path: Path) -> None:
    """As an older llama-server on PATH would refuse one of ours: the real program, given a flag it does not have."""
    real = llamacpp_build.build(Silent()) / "bin/llama-server"
    envelope = tool.json(
        *("up", "embed", "--stack", "flag", "--engine", "native", "--backend", "llamacpp"),
        *("--model", str(gguf), "--port", f"embeddings={free_port()}"),
        exit_code=1,
        env=wrapped(tmp_path / "bin", f'exec {real} "$@" --no-such-flag'),
    )
    tool.json("down", "--stack", "flag", "--volumes", "--yes")
    assert envelope["error"]["code"] == "start_failed"
    assert "--no-such-flag" in envelope["error"]["evidence"]
    assert envelope["data"]["cause"] == "bad_flag"


def test_a_missing_library_is_named(tool: Tool, gguf: Path, tmp_path: Path) -> None:
    """The real program without the libraries that stand beside it."""
    real = llamacpp_build.build(Silent()) / "bin/llama-server"
    lonely = tmp_path / "lonely-server"
    lonely.write_bytes(real.read_bytes())
    lonely.chmod(0o755)
    envelope = tool.json(
        *("up", "embed", "--stack", "library", "--engine", "native", "--backend", "llamacpp"),
        *("--model", str(gguf), "--port", f"embeddings={free_port()}"),
        exit_code=1,
        env=wrapped(tmp_path / "bin", f'exec {lonely} "$@"'),
    )
    tool.json("down", "--stack", "library", "--volumes", "--yes")
    assert envelope["error"]["code"] == "start_failed"
    assert envelope["data"]["cause"] == "build_incomplete"


def test_a_refused_download_is_named_and_leaves_nothing_running(tool: Tool, tmp_path: Path) -> None:
    lonely = Tool(tmp_path / "home")
    envelope = lonely.json(
        *("up", "--engine", "native"),
        exit_code=1,
        env={
            "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_RETRIES": "0",
            "PIP_TIMEOUT": "2",
        },
    )
    assert envelope["error"]["remedy"]
    assert processes_of(tmp_path / "home/stacks/default") == []


def test_two_stacks_live_side_by_side(tool: Tool, arguments: list[str], gguf: Path) -> None:
    tool.json(*arguments)
    tool.json(
        *("up", "embed", "--stack", "beside", "--engine", "native", "--backend", "llamacpp"),
        *("--model", str(gguf), "--port", f"embeddings={free_port()}"),
    )
    tool.json("down", "--stack", "beside", "--volumes", "--yes")
    assert healthy(tool)


def test_another_model_on_a_stack_with_data_is_refused(tool: Tool, native_up: str, gguf: Path) -> None:
    envelope = tool.json("up", "--backend", "llamacpp", "--model", str(gguf), exit_code=1)
    assert envelope["error"]["code"] == "model_change"
    assert "--model all-minilm-l6-v2" in envelope["error"]["remedy"]


def test_render_runs_without_this_tool(tool: Tool, gguf: Path, tmp_path: Path) -> None:
    out, port = tmp_path / "out", free_port()
    data = tool.json(
        *("render", "embed", "--engine", "native", "--backend", "llamacpp", "--model", str(gguf)),
        *("--port", f"embeddings={port}", "--out", str(out)),
    )["data"]
    started = subprocess.run(data["start"], shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert started.returncode == 0, started.stderr
    try:
        import httpx

        from orchestrator.waiting import wait_until

        def probe() -> str | None:
            try:
                return None if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200 else "not 200"
            except httpx.HTTPError as error:
                return str(error)

        wait_until(probe, 30)
    finally:
        # Nothing of ours stops it: the supervisord that the user started is the user's.
        configuration = str(out / "rendered/supervisord.conf")
        for process in [*supervisords_of(configuration), *processes_of(out)]:
            process.kill()
    assert supervisords_of(configuration) == []
