"""The real Open WebUI, ChromaDB, vLLM and llama-server as plain processes, for tests that ask each of them alone.

Where they are installed: ORCHESTRATOR_TEST_WEBUI_ENV, ORCHESTRATOR_TEST_VLLM_ENV (virtual environments),
ORCHESTRATOR_TEST_MODEL (MiniLM's folder), ORCHESTRATOR_TEST_GGUF, ORCHESTRATOR_TEST_LLAMA_SERVER; else what `make up`
installed under $ORCHESTRATOR_HOME.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from orchestrator.clients.chroma import ChromaClient
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.engines.llamacpp_build import build
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Silent
from orchestrator.waiting import wait_until

EMAIL, PASSWORD = "admin@example.com", "a password of the tests"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Program:
    """One process in a group of its own, its log beside it; stopped by SIGTERM, then by SIGKILL."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                arguments,
                env={**os.environ, **environment},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, answers, deadline_s: float) -> None:
        def refusal() -> str | None:
            assert self.process.poll() is None, f"ended: {self.log.read_text(errors='replace')[-3000:]}"
            try:
                return None if answers() else "not yet"
            except OrchestratorError as error:
                return error.message

        wait_until(refusal, deadline_s)

    def stop(self, grace_s: float = 20) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)


class RealChroma:
    def __init__(self, environment: Path, folder: Path) -> None:
        self.environment, self.folder, self.port = environment, folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = ChromaClient(self.url)
        self.start()

    def start(self) -> None:
        arguments = ["run", "--host", "127.0.0.1", "--port", str(self.port), "--path", str(self.folder / "chroma")]
        self.program = Program("chroma", [str(self.environment / "bin/chroma"), *arguments], {}, self.folder)
        self.program.wait_ready(self.client.heartbeat, 60)


class RealWebUi:
    """Open WebUI over that Chroma. `start` again with other variables to see what they still reach."""

    def __init__(self, environment: Path, folder: Path, chroma: RealChroma, embeddings_url: str, key: str) -> None:
        self.environment, self.folder, self.port = environment, folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.variables = {
            "DATA_DIR": str(folder / "webui"),
            "STATIC_DIR": str(folder / "webui/static"),
            "VECTOR_DB": "chroma",
            "CHROMA_HTTP_HOST": "127.0.0.1",
            "CHROMA_HTTP_PORT": str(chroma.port),
            "OFFLINE_MODE": "true",
            "HF_HUB_OFFLINE": "1",
            "WEBUI_SECRET_KEY": "a secret of the tests",
            "WEBUI_ADMIN_EMAIL": EMAIL,
            "WEBUI_ADMIN_PASSWORD": PASSWORD,
            "ENABLE_OLLAMA_API": "false",
            "ENABLE_OPENAI_API": "false",
            "RAG_EMBEDDING_ENGINE": "openai",
            "RAG_EMBEDDING_MODEL": "good",
            "RAG_OPENAI_API_BASE_URL": f"{embeddings_url}/v1",
            "RAG_OPENAI_API_KEY": key,
        }
        (folder / "webui").mkdir()

    def start(self, **variables: str) -> None:
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(self.port)]
        command = [str(self.environment / "bin/open-webui"), *arguments]
        self.program = Program("webui", command, {**self.variables, **variables}, self.folder)
        self.program.wait_ready(WebUiClient(self.url).ready, 180)

    def signed_in(self) -> WebUiClient:
        client = WebUiClient(self.url)
        assert client.sign_in(EMAIL, PASSWORD)
        return client

    def uploads(self) -> list[str]:
        folder = self.folder / "webui/uploads"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def start_vllm(environment: Path, model: Path, folder: Path, name: str, key: str, *more: str) -> tuple[Program, str]:
    port = free_port()
    variables = {
        "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_API_KEY": key,
    }
    flags = ["--runner", "pooling", "--dtype", "float32", "--enforce-eager", "--max-model-len", "256"]
    flags += ["--max-num-batched-tokens", "4096", "--max-num-seqs", "64", "--shutdown-timeout", "10"]
    where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", name]
    command = [str(environment / "bin/vllm"), "serve", str(model), *where, *flags, *more]
    program = Program("vllm", command, variables, folder)
    url = f"http://127.0.0.1:{port}"
    program.wait_ready(EmbeddingsClient(url, key, name).healthy, 300)
    return program, url


def start_llama_server(
    binary: Path, gguf: Path, folder: Path, name: str, key: str, *more: str, length: int = 256
) -> tuple[Program, str]:
    port = free_port()
    where = ["-m", str(gguf), "--embedding", "--host", "127.0.0.1", "--port", str(port), "--alias", name]
    sizes = ["-t", "1", "-tb", "1", "-c", str(4 * length), "-np", "4", "-b", str(length), "-ub", str(length)]
    program = Program("llama", [str(binary), *where, *sizes, *more], {"LLAMA_API_KEY": key}, folder)
    url = f"http://127.0.0.1:{port}"
    program.wait_ready(EmbeddingsClient(url, key, name).healthy, 60)
    return program, url


def environment_of(variable: str, name: str, request: pytest.FixtureRequest) -> Path:
    """An installed environment: the variable's, else the one below $ORCHESTRATOR_HOME, where `make up` installs it."""
    if given := os.environ.get(variable):
        return Path(given)
    request.getfixturevalue("native_up")
    home = request.getfixturevalue("home")
    return next(path.parent for path in sorted(home.glob(f"environments/{name}-[0-9]*/bin")))


def minilm_of(request: pytest.FixtureRequest) -> Path:
    given = os.environ.get("ORCHESTRATOR_TEST_MODEL")
    return Path(given) if given else request.getfixturevalue("minilm_folder")


def gguf_of(request: pytest.FixtureRequest) -> Path:
    given = os.environ.get("ORCHESTRATOR_TEST_GGUF")
    return Path(given) if given else request.getfixturevalue("gguf")


def llama_server_of(request: pytest.FixtureRequest) -> Path:
    """The variable's, else built once below $ORCHESTRATOR_HOME (minutes), as `up --backend llamacpp` does."""
    if given := os.environ.get("ORCHESTRATOR_TEST_LLAMA_SERVER"):
        return Path(given)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ORCHESTRATOR_HOME", str(request.getfixturevalue("home")))
        return build(Silent()) / "bin/llama-server"
