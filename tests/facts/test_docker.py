"""The Docker reader against a stand-in engine on a unix socket; the real engine is driven in tests/integration."""

import json
import socket
import threading
from pathlib import Path

import pytest

from orchestrator.facts import docker
from orchestrator.facts.docker import read_docker

INFO = {
    "Runtimes": {"runc": {}, "nvidia": {}},
    "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}],
    "DockerRootDir": "/var/lib/docker",
    "SecurityOptions": ["name=seccomp", "name=rootless"],
}
IMAGES = [{"RepoTags": ["chromadb/chroma:1.5.9", "docker.io/library/registry:2"]}, {"RepoTags": None}]
VERSION = {"Version": "28.5.2", "ApiVersion": "1.51"}


class StandInEngine:
    """Answers /info and /version as an engine does, or with a fault."""

    def __init__(self, path: Path, status: int = 200, silent: bool = False) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.status, self.silent = status, silent
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plug, _ = self.socket.accept()
            except OSError:
                return
            if self.silent:
                self.kept = plug
                continue
            request = plug.recv(4096).decode()
            answers = {"/info": INFO, "/version": VERSION, "/images/json": IMAGES}
            body = json.dumps(next(answer for path, answer in answers.items() if path in request))
            plug.sendall(f"HTTP/1.0 {self.status} x\r\nContent-Type: application/json\r\n\r\n{body}".encode())
            plug.close()


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(docker, "compose_version", lambda: "2.40.3")
    monkeypatch.setattr(docker.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "docker" else None)
    return tmp_path / "docker.sock"


def test_usable(path):
    StandInEngine(path)
    found = read_docker()
    assert found.usable
    assert (found.server_version, found.api_version, found.compose_version) == ("28.5.2", "1.51", "2.40.3")
    assert found.gpu
    assert found.rootless
    assert found.images == ("chromadb/chroma:1.5.9", "registry:2")
    assert found.cdi_devices == ("nvidia.com/gpu=0",)


@pytest.mark.parametrize(
    ("compose", "code"), [(None, "compose_missing"), ("2.19.1", "compose_too_old"), ("1.29.2", "compose_too_old")]
)
def test_compose(path, monkeypatch, compose, code):
    StandInEngine(path)
    monkeypatch.setattr(docker, "compose_version", lambda: compose)
    found = read_docker()
    assert not found.usable
    assert found.error.code == code


@pytest.mark.parametrize("compose", ["2.20.0", "2.40.3-desktop.1", "2.26.1-4", "5.0.0"])
def test_new_enough(path, monkeypatch, compose):
    StandInEngine(path)
    monkeypatch.setattr(docker, "compose_version", lambda: compose)
    assert read_docker().usable


def test_no_socket(path, monkeypatch):
    assert read_docker().error.code == "no_socket"
    monkeypatch.setattr(docker.shutil, "which", lambda name: None)
    assert read_docker().error.code == "no_cli"


def test_a_socket_that_nobody_listens_on(path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    assert read_docker().error.code == "not_running"


def test_an_engine_that_refuses(path):
    StandInEngine(path, status=500)
    found = read_docker()
    assert found.error.code == "not_running"
    assert "500" in found.error.reason


def test_an_engine_that_hangs(path, monkeypatch):
    monkeypatch.setattr(docker, "ANSWER_S", 0.2)
    StandInEngine(path, silent=True)
    assert read_docker().error.code == "timeout"


def test_a_remote_engine_is_not_this_machine(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@elsewhere")
    found = read_docker()
    assert (found.usable, found.remote) == (False, True)
    assert "elsewhere" not in found.error.reason


def test_the_context_decides_without_docker_host(tmp_path, monkeypatch):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    meta = tmp_path / "contexts/meta/abc/meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": "mine", "Endpoints": {"docker": {"Host": "tcp://10.0.0.1:2375"}}}))
    assert read_docker().remote
