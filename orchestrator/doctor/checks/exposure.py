"""Who beyond this machine can reach the stack: published addresses as they are, and the firewall in front of them."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed
from orchestrator.doctor.context import Context
from orchestrator.doctor.rendered import rendered_services
from orchestrator.plan.records import Role
from orchestrator.services.address import LOOPBACK
from orchestrator.services.of_plan import ROLES

UFW = Path("/etc/ufw/ufw.conf")
ANSWER_S = 2.0
OPEN: dict[Role, str] = {
    "vectors": "Chroma has no authentication",
    "embeddings": "the embedding server answers some paths without its key",
}
"""Why these two stay on this machine whatever `--listen` says: services/address.py."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    role: Role
    address: str
    where: str

    @property
    def beyond(self) -> bool:
        """Other machines can reach it."""
        return not is_loopback(self.address)


def published_addresses(context: Context) -> Answer:
    found = _published(context)
    strangers = [one for one in found if one.beyond and not _wanted(one, context)]
    if not strangers:
        seen = ", ".join(f"{one.role} {one.address}" for one in found) or "nothing is published"
        asked = f"; --listen {context.planned.listen} was asked for" if any(one.beyond for one in found) else ""
        return passed(f"{seen}{asked}")
    why = [OPEN[one.role] for one in strangers if one.role in OPEN]
    names = ", ".join(dict.fromkeys(one.role for one in strangers))
    return bad(
        "; ".join(f"{one.role} listens on {one.address} ({one.where})" for one in strangers),
        f"{names} can be reached from other machines, which nobody asked for{''.join(f'; {w}' for w in why)}",
        "make the stack listen as planned again; to show Open WebUI (and it alone) to others: --listen ADDRESS",
        context.up_with(),
    )


def firewall(context: Context) -> Answer:
    plan = context.planned
    if plan.engine != "compose":
        return not_applicable("a firewall treats native processes as any other")
    beyond = [one for one in _published(context) if one.beyond]
    if not beyond:
        return not_applicable("nothing is published beyond this machine")
    active = active_firewall()
    if active is None:
        return not_applicable("neither ufw nor firewalld is active here")
    ports = ", ".join(f"{one.role} ({plan.ports.get(one.role, 'unknown port')})" for one in beyond)
    return bad(
        f"{active} is active; {ports} on {beyond[0].address}",
        f"Docker's own rules come before those of {active}: {ports} is open to others even where {active} denies it",
        "publish on one address only, or put your rules into the chain that Docker leaves to you (DOCKER-USER):",
        "sudo iptables -L DOCKER-USER -n",
        context.up_with(f"--listen {LOOPBACK}"),
    )


def active_firewall() -> str | None:
    try:
        if "ENABLED=yes" in UFW.read_text(encoding="utf-8").split():
            return "ufw"
    except OSError:
        pass
    if shutil.which("systemctl") is None:
        return None
    try:
        done = subprocess.run(
            ["systemctl", "is-active", "--quiet", "firewalld"], capture_output=True, timeout=ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return "firewalld" if done.returncode == 0 else None


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"


def _wanted(one: Published, context: Context) -> bool:
    return one.role == "webui" and one.address in (context.planned.listen, context.spec.listen)


def _published(context: Context) -> list[Published]:
    """What the files say, and for processes of this stack what their sockets say."""
    if context.planned.engine == "compose":
        return list(_in_the_file(context))
    return list(_by_processes(context))


def _in_the_file(context: Context) -> Iterator[Published]:
    file = rendered_services(context)
    for role in (role for role in ROLES if role in file.services):
        for entry in file.services[role].get("ports") or ():
            yield Published(role=role, address=_address(entry), where=file.where)


def _address(entry: object) -> str:
    """`8000`, `3000:8000`, `127.0.0.1:3000:8000`, `[::1]:3000:8000`, or the long form. Without one: every address."""
    if isinstance(entry, dict):
        return str(entry.get("host_ip") or "0.0.0.0")  # noqa: S104 (what Docker does, not what we bind)
    parts = str(entry).rsplit(":", 2)
    return parts[0].strip("[]") if len(parts) == 3 else "0.0.0.0"  # noqa: S104


def _by_processes(context: Context) -> Iterator[Published]:
    """The planned port's listening sockets among the service's process and its children, as the kernel tells it."""
    for service in context.running:
        port = context.planned.ports.get(service.role)
        if service.pid is not None and port is not None:
            for address in sorted(set(_listening(service.pid, port))):
                yield Published(role=service.role, address=address, where=f"pid {service.pid}")


def _listening(pid: int, port: int) -> Iterator[str]:
    import psutil

    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            for socket in one.net_connections("tcp"):
                if socket.status == psutil.CONN_LISTEN and socket.laddr[1:2] == (port,):
                    yield str(socket.laddr[0])
    except psutil.Error:
        return


BIND = Check(
    id="net.bind",
    area="network",
    question="Is everything published only where it was asked for, by default on this machine alone?",
    reads=("published addresses in compose.yaml", "listening sockets of the stack's own processes"),
    severity="warn",
    stage="plan",
    answer=published_addresses,
)
FIREWALL = Check(
    id="net.firewall",
    area="network",
    question="Does a firewall guard what Docker publishes to other machines?",
    reads=(str(UFW), "systemctl is-active firewalld", "published addresses in compose.yaml"),
    severity="warn",
    stage="plan",
    answer=firewall,
)
CHECKS = (BIND, FIREWALL)
