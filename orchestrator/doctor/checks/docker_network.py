"""The way between containers, and out of them: proxies, names, packet sizes."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.checks.docker import images_of
from orchestrator.doctor.checks.docker_wanted import with_docker
from orchestrator.doctor.context import Context
from orchestrator.doctor.rendered import environment_of, rendered_services
from orchestrator.engines.compose_render import project_of

ANSWER_S = 4.0
"""For one call of the docker program; a container starts in about 1 s (measured, two busy cores)."""
OLLAMA_REGISTRY = "registry.ollama.ai"
LABEL = "orchestrator.doctor"
"""On what a check makes and removes again, so that a person can tell where a leftover came from."""
LEFTOVER_AGE = "10m"
"""Older networks of this check are of one that was killed before it could clean up; younger ones may be in use."""
NO_TOOL = 69
RESOLVE = (
    'if command -v getent >/dev/null 2>&1; then getent hosts "$1"; '
    "elif command -v python3 >/dev/null 2>&1; then "
    'python3 -c "import socket, sys; print(socket.gethostbyname(sys.argv[1]))" "$1"; '
    f"else exit {NO_TOOL}; fi"
)
"""What the images have to ask a name with: getent (Debian, Ubuntu), else Python."""
DEVICES = Path("/sys/class/net")
ROUTES = Path("/proc/net/route")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One name, asked inside a container."""

    name: str
    code: int
    said: str


def proxies(context: Context) -> Answer:
    """Compose puts the client's proxies into every container; a neighbour that is asked through one is not found."""
    proxied = client_proxies()
    if not proxied.get("httpProxy") and not proxied.get("httpsProxy"):
        return passed("docker's config.json names no proxy for containers")
    file = rendered_services(context)
    wrong = {name: missing for name, service in file.services.items() if (missing := _proxied(service, proxied))}
    if not wrong:
        return passed(f"a proxy goes into every container; neighbours stand in NO_PROXY ({file.where})")
    names = sorted({name for missing in wrong.values() for name in missing})
    already = proxied.get("noProxy", "")
    return bad(
        "; ".join(f"{name}: {', '.join(missing)} not in NO_PROXY" for name, missing in wrong.items()),
        f"{', '.join(wrong)} would ask {', '.join(names)} through the proxy, which does not know the name",
        "write the file again (the plan sets NO_PROXY), or name them in docker's config.json, proxies.default.noProxy: "
        + ",".join(filter(None, (already, *names))),
        context.up_with(),
    )


def client_proxies() -> dict[str, str]:
    """As the docker program reads it: the entry of this engine, else the default."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("proxies") or {}
    except (OSError, ValueError, AttributeError):
        return {}
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    chosen = said.get(host) or said.get("default") or {}
    return {str(name): str(value) for name, value in chosen.items() if value}


def _proxied(service: dict[str, Any], client: dict[str, str]) -> list[str]:
    """Neighbours that this service would ask through the proxy. The file's own setting counts before the client's."""
    own = environment_of(service)
    said = own.get("no_proxy") or own.get("NO_PROXY") or client.get("noProxy", "")
    excepted = {part.strip().lstrip(".*") for part in said.split(",")}
    return [] if "" in excepted and "*" in said else [n for n in service.get("depends_on") or () if n not in excepted]


def names_in_containers(context: Context) -> Answer:
    """A service that does not run has no name: stack.state tells that it does not."""
    inside, *others = _askers(context) or (None,)
    names = (*(service.role for service in others), *_outside(context))
    if inside is not None and names:
        return _judged([_exec(str(inside.container), name) for name in names], context)
    here = [image for image in images_of(context.planned).values() if _is_here(image, context)]
    if not here:
        return not_applicable("no image of this stack is here yet, and none is pulled for a check")
    with _network() as network:
        return _judged([_run(here[0], network, name) for name in ("embeddings", *_outside(context))], context)


def _askers(context: Context) -> list[Any]:
    """Running containers of this stack, the one that asks the others first. One that was stopped has no process."""
    running = [service for service in context.running if service.container and service.pid]
    return sorted(running, key=lambda service: service.role != "webui")


def _outside(context: Context) -> tuple[str, ...]:
    """Only Ollama fetches anything from inside a container; all else is fetched by the engine or by us."""
    pulls = context.planned.weights.source.kind == "ollama" and not context.offline
    return (OLLAMA_REGISTRY,) if pulls and context.facts.sources.ollama.reachable else ()


def _is_here(image: str, context: Context) -> bool:
    return image.removeprefix("docker.io/") in context.facts.docker.images


def _judged(asked: list[Asked], context: Context) -> Answer:
    if any(one.code == NO_TOOL for one in asked):
        return not_applicable("the image has neither getent nor python3 to ask a name with")
    wrong = [one for one in asked if one.code != 0]
    if not wrong:
        return passed("; ".join(f"{one.name} → {one.said.split()[0] if one.said else 'found'}" for one in asked))
    evidence = "; ".join(f"{one.name}: {one.said or f'not found (exit {one.code})'}" for one in wrong)
    if any(one.name == OLLAMA_REGISTRY for one in wrong):
        return bad(
            evidence,
            "this machine resolves the name, its containers do not: the engine hands them a name server that they "
            "cannot reach",
            'name one that containers can reach in /etc/docker/daemon.json, as {"dns": ["192.0.2.53"]}, then:',
            "sudo systemctl restart docker",
        )
    return bad(
        evidence,
        "a container cannot resolve its neighbour's name, so that the services will not find each other",
        "make the stack's network anew; if that does not help, restart the engine (its own name server is broken):",
        context.up_with(),
        "sudo systemctl restart docker",
    )


def _exec(container: str, name: str) -> Asked:
    return _ask(name, "exec", container, "sh", "-c", RESOLVE, "sh", name)


def _run(image: str, network: str, name: str) -> Asked:
    """The container carries the name itself: what is asked is the engine's name server."""
    where = ("--network", network, "--network-alias", "embeddings")
    words = ("run", "--rm", "--pull", "never", *where, "--label", LABEL, "--entrypoint", "sh")
    return _ask(name, *words, image, "-c", RESOLVE, "sh", name)


def _ask(name: str, *words: str) -> Asked:
    try:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        return Asked(name=name, code=124, said=f"no answer within {ANSWER_S:g} s")
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return Asked(name=name, code=done.returncode, said=lines[-1] if lines else "")


@contextmanager
def _network() -> Iterator[str]:
    """Of its own kind, as the stack's is: only such networks have the engine's name server. Gone afterwards."""
    name = f"orchestrator-doctor-{secrets.token_hex(4)}"
    _docker("network", "prune", "--force", "--filter", f"label={LABEL}", "--filter", f"until={LEFTOVER_AGE}")
    _docker("network", "create", "--label", LABEL, name)
    try:
        yield name
    finally:
        _docker("network", "rm", name)


def _docker(*words: str) -> str:
    """Raises where the engine refuses or hangs: the check then says that it broke, with the engine's words."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"docker {' '.join(words[:2])}: {done.stderr.strip()}")
    return done.stdout.strip()


def packet_sizes(context: Context) -> Answer:
    uplink, bridges = uplink_mtu(), bridge_mtus(context)
    if uplink is None or not bridges:
        return not_applicable("there is no default route, or no bridge of Docker's, on this machine")
    bridge, largest = max(bridges.items(), key=lambda item: item[1])
    evidence = f"{bridge} {largest}, {uplink[0]} {uplink[1]}"
    if largest <= uplink[1]:
        return passed(evidence)
    if context.planned.weights.source.kind != "ollama":
        return passed(f"{evidence}; larger, but no container of this plan fetches anything through {uplink[0]}")
    return bad(
        evidence,
        f"packets out of a container ({largest}) are larger than {uplink[0]} takes ({uplink[1]}): where a router drops "
        "them without a word, Ollama's downloads stall",
        "set it in /etc/docker/daemon.json: "
        f'{{"mtu": {uplink[1]}, "default-network-opts": {{"bridge": {{"com.docker.network.driver.mtu": '
        f'"{uplink[1]}"}}}}}}, then:',
        "sudo systemctl restart docker",
    )


def uplink_mtu() -> tuple[str, int] | None:
    """The device of the default route with the lowest metric."""
    try:
        routes = [line.split() for line in ROUTES.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return None
    defaults = sorted((int(r[6]), r[0]) for r in routes if r[1] == "00000000" and r[7] == "00000000")
    mtu = _mtu(defaults[0][1]) if defaults else None
    return None if mtu is None else (defaults[0][1], mtu)


def bridge_mtus(context: Context) -> dict[str, int]:
    """Docker's own bridge, and this stack's where it has one (named after the network's id)."""
    try:
        network = _docker("network", "inspect", "--format", "{{.Id}}", f"{project_of(context.planned.stack)}_default")
    except (OSError, RuntimeError, subprocess.TimeoutExpired):
        network = ""
    names = ("docker0", *((f"br-{network[:12]}",) if network else ()))
    return {name: mtu for name in names if (mtu := _mtu(name)) is not None}


def _mtu(device: str) -> int | None:
    try:
        return int((DEVICES / device / "mtu").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


PROXY = Check(
    id="docker.proxy",
    area="docker",
    question="Do containers ask their neighbours past the proxy?",
    reads=("proxies in docker's config.json", "NO_PROXY in compose.yaml"),
    needs=("docker.cli",),
    severity="warn",
    stage="plan",
    answer=with_docker(proxies),
)
DNS = Check(
    id="docker.dns",
    area="docker",
    question="Do names resolve inside a container?",
    reads=("a service's name, asked inside a running container of the stack, else inside one made for it",),
    needs=("docker.daemon",),
    severity="fail",
    stage="plan",
    timeout_s=10.0,
    answer=with_docker(names_in_containers),
)
MTU = Check(
    id="docker.mtu",
    area="docker",
    question="Do packets from containers fit through this machine's uplink?",
    reads=("mtu of docker0, of the stack's bridge and of the default route's device in /sys/class/net",),
    needs=("docker.daemon",),
    severity="warn",
    stage="plan",
    answer=with_docker(packet_sizes),
)
CHECKS = (PROXY, DNS, MTU)
