"""Ports: a real bind, and who stands in the way."""

from __future__ import annotations

import errno
import socket
import subprocess
from typing import get_args

import msgspec

from orchestrator.doctor.check import Answer, Check, bad, passed
from orchestrator.doctor.context import Context
from orchestrator.plan.records import Plan, Role

SEARCHED_PORTS = 200
COMMAND_CHARACTERS = 120
DOCKER_ANSWER_S = 3.0
HIGHEST_PORT = 65535


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who listens on a port; None where only root may know."""

    pid: int | None = None
    ancestors: tuple[int, ...] = ()
    name: str = ""
    command: str = ""
    container: str | None = None

    def __str__(self) -> str:
        if self.container:
            return f"the container {self.container}"
        if self.pid is None:
            return "a process of another user (only root can see which)"
        return f"{self.name} (pid {self.pid}: {self.command})"


def port_check(role: Role) -> Check:
    def answer(context: Context) -> Answer:
        return port_answer(role, context)

    return Check(
        id=f"net.port.{role}",
        anchor="net.port",
        area="network",
        question=f"Is the port of {role} free, or held by this stack itself?",
        reads=("a bind on the planned address and port", "the listening sockets of this machine"),
        severity="fail",
        stage="plan",
        answer=answer,
    )


def port_answer(role: Role, context: Context) -> Answer:
    plan = context.planned
    port, address = plan.ports[role], plan.listen
    refused = bind_error(address, port)
    if refused is None:
        return passed(f"{address}:{port} is free")
    if refused == errno.EADDRINUSE:
        return _taken(role, address, port, context)
    if refused == errno.EACCES:
        return bad(
            f"bind {address}:{port}: permission denied",
            f"this user may not open port {port} (below 1024?)",
            "choose a port above 1023",
            context.up_with(f"--port {role}={_next_free(plan, max(port, 1024)) or 3000}"),
        )
    return bad(
        f"bind {address}:{port}: {errno.errorcode.get(refused, refused)}",
        f"{address} is no address of this machine",
        "listen on an address that `ip addr` shows",
        context.up_with("--listen 127.0.0.1"),
    )


def bind_error(address: str, port: int) -> int | None:
    """The errno of a real bind, or None. Ports that only wait out a closed connection count as free (SO_REUSEADDR)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error.errno
    return None


def holder_of(port: int) -> Holder:
    import psutil

    # Pairs without a name in psutil's types where a socket is unbound: (address, port), or ().
    listening = (c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr[1:2] == (port,))
    pid = next((connection.pid for connection in listening if connection.pid is not None), None)
    container = container_of(port) if pid is None or "docker" in _name(pid) else None
    if pid is None:
        return Holder(container=container)
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Holder(
                pid=pid,
                ancestors=tuple(parent.pid for parent in process.parents()),
                name=process.name(),
                command=" ".join(process.cmdline())[:COMMAND_CHARACTERS],
                container=container,
            )
    except psutil.Error:
        return Holder(pid=pid, container=container)


def container_of(port: int) -> str | None:
    """The name of the container that publishes the port; its socket is held by docker-proxy or the engine."""
    try:
        done = subprocess.run(
            ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"],
            capture_output=True, text=True, timeout=DOCKER_ANSWER_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None


def _taken(role: Role, address: str, port: int, context: Context) -> Answer:
    holder = holder_of(port)
    own = next((service for service in context.running if _is(service.pid, service.container, holder)), None)
    if own is not None:
        return passed(f"{address}:{port} is held by this stack's own {own.role}")
    free = _next_free(context.planned, port)
    evidence = f"{address}:{port} is held by {holder}"
    reason = f"port {port} of {role} is taken by {holder}"
    if free is None:
        return bad(
            evidence, reason, f"none of the {SEARCHED_PORTS} ports above is free: choose one with --port {role}="
        )
    return bad(evidence, reason, f"stop it, or take {free}:", context.up_with(f"--port {role}={free}"))


def _is(pid: int | None, container: str | None, holder: Holder) -> bool:
    """The service itself, or a worker below it (uvicorn, vLLM's API server)."""
    if container is not None and holder.container is not None:
        return container == holder.container
    return pid is not None and holder.pid is not None and pid in (holder.pid, *holder.ancestors)


def _next_free(plan: Plan, port: int) -> int | None:
    planned = set(plan.ports.values())
    above = range(port + 1, min(port + SEARCHED_PORTS, HIGHEST_PORT) + 1)
    return next((p for p in above if p not in planned and bind_error(plan.listen, p) is None), None)


def _name(pid: int) -> str:
    import psutil

    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return ""


CHECKS = tuple(port_check(role) for role in get_args(Role))
