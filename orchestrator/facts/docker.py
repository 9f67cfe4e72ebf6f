"""The container engine: does one answer, is Compose new enough, may this user use both.

Asked over the unix socket directly: the docker SDK costs 180 ms to import (facts/docker-and-gpu 4.2).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.facts.records import DockerFacts, Unreadable

MINIMUM_COMPOSE = (2, 20)
"""`depends_on.required` and `include` came with Compose 2.20 (its documentation); older ones refuse or ignore keys."""
ANSWER_S = 2.0
PLUGIN_FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)


def read_docker() -> DockerFacts:
    """Never raises; `error` says what stands in the way."""
    endpoint = _endpoint()
    if not endpoint.startswith("unix://"):
        return _remote(endpoint)
    path = endpoint.removeprefix("unix://")
    try:
        info, version, images = _ask(path, "/info"), _ask(path, "/version"), _ask(path, "/images/json")
    except (FileNotFoundError, PermissionError, ConnectionRefusedError, TimeoutError) as error:
        return DockerFacts(usable=False, error=_refusal(error, path))
    except (OSError, ValueError) as error:
        return DockerFacts(usable=False, error=Unreadable(code="not_running", reason=f"{path}: {error}"))
    facts = _facts(info, version, compose_version())
    return msgspec.structs.replace(facts, images=_references(images))


def _references(images: Any) -> tuple[str, ...]:
    """Podman writes `docker.io/` out, Docker does not."""
    tags = (tag for image in images for tag in image.get("RepoTags") or [])
    return tuple(sorted(str(tag).removeprefix("docker.io/").removeprefix("library/") for tag in tags))


def _facts(info: dict[str, Any], version: dict[str, Any], compose: str | None) -> DockerFacts:
    """Records out of what the engine answered; `usable` needs the docker program and a Compose that is new enough."""
    error: Unreadable | None = None
    if shutil.which("docker") is None:
        error = Unreadable(code="no_cli", reason="an engine answers, but there is no `docker` program on PATH")
    elif compose is None:
        error = Unreadable(code="compose_missing", reason="an engine answers, but `docker compose` is not installed")
    elif compose_numbers(compose) < MINIMUM_COMPOSE:
        least = ".".join(map(str, MINIMUM_COMPOSE))
        error = Unreadable(code="compose_too_old", reason=f"Compose {compose} is older than {least}")
    runtimes = tuple(sorted(info.get("Runtimes") or {}))
    cdi = tuple(
        str(device.get("ID")) for device in info.get("DiscoveredDevices") or [] if device.get("Source") == "cdi"
    )
    return DockerFacts(
        usable=error is None,
        error=error,
        server_version=version.get("Version"),
        api_version=version.get("ApiVersion"),
        compose_version=compose,
        runtimes=runtimes,
        cdi_devices=cdi,
        root_dir=info.get("DockerRootDir"),
        rootless=any("rootless" in option for option in info.get("SecurityOptions") or []),
        gpu="nvidia" in runtimes
        or any(device.startswith("nvidia.com/gpu") for device in cdi)
        or shutil.which("nvidia-container-runtime-hook") is not None,
        flavour=_flavour(info, version),
        mirrors=tuple((info.get("RegistryConfig") or {}).get("Mirrors") or ()),
    )


def _flavour(info: dict[str, Any], version: dict[str, Any]) -> str:
    names = {str(part.get("Name", "")).lower() for part in version.get("Components") or []}
    if any("podman" in name for name in names):
        return "podman"
    return "docker-desktop" if "Docker Desktop" in str(info.get("OperatingSystem")) else "docker"


def _refusal(error: OSError, path: str) -> Unreadable:
    if isinstance(error, FileNotFoundError):
        if shutil.which("docker") is None:
            return Unreadable(code="no_cli", reason="Docker is not installed (no `docker` program, no socket)")
        return Unreadable(code="no_socket", reason=f"no engine runs: {path} does not exist")
    if isinstance(error, PermissionError):
        return Unreadable(code="no_permission", reason=f"this user may not use {path} (not in the group `docker`)")
    if isinstance(error, TimeoutError):
        return Unreadable(code="timeout", reason=f"the engine behind {path} did not answer within {ANSWER_S:g} s")
    return Unreadable(code="not_running", reason=f"nothing answers on {path}: the engine is not running")


def _remote(endpoint: str) -> DockerFacts:
    scheme = endpoint.partition("://")[0]
    reason = f"Docker points at another machine ({scheme}); this machine's facts do not hold there"
    return DockerFacts(usable=False, remote=True, error=Unreadable(code="remote", reason=reason))


def _endpoint() -> str:
    """DOCKER_HOST, else the current context's endpoint, else the default socket; as the docker program decides."""
    chosen = os.environ.get("DOCKER_HOST")
    if chosen:
        return chosen
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    context = os.environ.get("DOCKER_CONTEXT") or _json(folder / "config.json").get("currentContext")
    if context and context != "default":
        for meta in folder.glob("contexts/meta/*/meta.json"):
            described = _json(meta)
            if described.get("Name") == context:
                return str(
                    described.get("Endpoints", {}).get("docker", {}).get("Host") or "unix:///var/run/docker.sock"
                )
    return "unix:///var/run/docker.sock"


def ask_engine(what: str) -> Any:
    """One question to the local engine's API; raises OSError or ValueError."""
    endpoint = _endpoint()
    if not endpoint.startswith("unix://"):
        raise OSError(f"the engine is on another machine ({endpoint.partition('://')[0]})")
    return _ask(endpoint.removeprefix("unix://"), what)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _ask(path: str, what: str) -> Any:
    """One GET over the socket. HTTP/1.0 on purpose: the answer is never chunked and ends where the connection does, so
    that http.client (55 ms to import) is not needed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
        plug.settimeout(ANSWER_S)
        plug.connect(path)
        plug.sendall(f"GET {what} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = bytearray()
        while block := plug.recv(65536):
            answer += block
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status != [b"200"]:
        raise OSError(f"the engine answered {status[0].decode() if status else 'nothing'} to {what}")
    return json.loads(body)


def compose_version() -> str | None:
    """Of the plugin that `docker compose` would run; asked directly, which is quicker than through `docker`."""
    folders = (str(Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"), *PLUGIN_FOLDERS)
    plugin = next((path for folder in folders if os.access(path := f"{folder}/docker-compose", os.X_OK)), None)
    command = [plugin] if plugin else ["docker", "compose"]
    import subprocess

    try:
        done = subprocess.run(
            [*command, "version", "--short"], capture_output=True, text=True, timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().removeprefix("v") or None if done.returncode == 0 else None


def compose_numbers(version: str) -> tuple[int, ...]:
    """`2.40.3-desktop.1` → (2, 40)."""
    parts = version.partition("-")[0].split(".")[:2]
    return tuple(int(part) if part.isdigit() else 0 for part in parts)
