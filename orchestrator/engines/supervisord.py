"""The door to one stack's supervisord: start it, ask it, tell it, over XML-RPC on its private Unix socket."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal
from xmlrpc.client import Error as RpcError
from xmlrpc.client import Fault, ServerProxy

import msgspec

from orchestrator.engines.leftovers import STACK_VARIABLE
from orchestrator.errors import OrchestratorError
from orchestrator.waiting import DeadlineError, wait_until

ANSWER_TIMEOUT_S = 15.0
"""estimate: supervisord answers in milliseconds; a machine that swaps may take seconds."""
START_DEADLINE_S = 30.0
SOCKET_PATH_BYTES = 107
"""vendor: Linux `sun_path` holds 108 bytes with the final NUL."""
SOCKET_SUFFIX_BYTES = 8
"""vendor: supervisor 4.3.0 (http.py) binds `<path>.<its pid>` first and links that to the path; 7 digits and a dot."""
SHORT_FOLDER = Path("/tmp")  # noqa: S108 # a private folder in it; not $TMPDIR: `down` must find what `up` chose
INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
INHERITED_PREFIXES = ("LC_", "XDG_", "CUDA_", "NVIDIA_", "SSL_CERT_", "SLURM_TMPDIR")
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Services get only these from the shell that called `up`: a stray DATABASE_URL there must not reach Open WebUI."""

ProcessState = Literal["STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"]


class Supervised(msgspec.Struct, frozen=True, kw_only=True):
    """One program as supervisord tells it."""

    name: str
    statename: ProcessState
    pid: int
    """0 when it does not run."""
    start: int
    """Seconds since 1970; 0 when it never started."""
    exitstatus: int
    spawnerr: str


def socket_of(stack: Path) -> Path:
    """In the stack's folder, or in a short private one where that path is too long for a Unix socket."""
    usual = stack / "run" / "supervisor.sock"
    if len(os.fsencode(usual)) + SOCKET_SUFFIX_BYTES <= SOCKET_PATH_BYTES:
        return usual
    short = hashlib.sha256(os.fsencode(stack)).hexdigest()[:16]
    return SHORT_FOLDER / f"orchestrator-{os.getuid()}" / f"{short}.sock"


class Supervisord:
    """What runs is asked anew each time; nothing is remembered."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def answers(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            self.call("supervisor.getState")
        except (OSError, HTTPException, RpcError):
            return False
        return True

    def pid(self) -> int:
        return int(self.call("supervisor.getPID"))

    def programs(self) -> dict[str, Supervised]:
        told = msgspec.convert(self.call("supervisor.getAllProcessInfo"), list[Supervised])
        return {program.name: program for program in told}

    def start(self, name: str) -> None:
        """Does not wait: readiness is a question of its own. Running already is as good."""
        try:
            self.call("supervisor.startProcess", name, False)
        except Fault as fault:
            if not fault.faultString.startswith("ALREADY_STARTED"):
                raise _refused(f"start {name}", fault) from None

    def stop(self, names: list[str], grace_s: float) -> None:
        """All at once; returns when every one of them has ended."""
        for name in names:
            try:
                self.call("supervisor.stopProcess", name, False)
            except Fault as fault:
                if not fault.faultString.startswith("NOT_RUNNING"):
                    raise _refused(f"stop {name}", fault) from None

        def still() -> str | None:
            told = self.programs()
            alive = [name for name in names if name in told and told[name].pid]
            return f"{', '.join(alive)} still running" if alive else None

        try:
            wait_until(still, grace_s)
        except DeadlineError as late:
            raise OrchestratorError(
                "stop_failed",
                f"{late.reason} {late.waited_s:.0f} s after SIGTERM and SIGKILL",
                remedy="a process that outlives SIGKILL waits for a device or a file system: `ps -o pid,stat,wchan`",
            ) from None

    def reload(self, grace_s: float) -> None:
        """Take over the configuration file: programs that are new, changed or gone."""
        try:
            [[added, changed, removed]] = self.call("supervisor.reloadConfig")
        except Fault as fault:
            raise _refused("read its configuration", fault) from None
        self.stop([*changed, *removed], grace_s)
        for name in (*changed, *removed):
            self.call("supervisor.removeProcessGroup", name)
        for name in (*changed, *added):
            self.call("supervisor.addProcessGroup", name)

    def shutdown(self) -> None:
        self.call("supervisor.shutdown")

    def call(self, method: str, *arguments: object) -> Any:
        """One request on one connection; the transport is supervisor's own, which speaks HTTP over a Unix socket."""
        with ServerProxy("http://supervisor", transport=_transport(self.socket)) as server:
            return getattr(server, method)(*arguments)


def launch(configuration: Path, stack: Path, environment: dict[str, str]) -> Supervisord:
    """Start supervisord, which moves to the background, and return when it answers."""
    supervisord = Supervisord(socket_of(stack))
    prepare_socket_folder(supervisord.socket)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    started = subprocess.run(
        command,
        cwd=stack,
        env={**inherited(environment), STACK_VARIABLE: str(stack)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
        timeout=START_DEADLINE_S,
    )
    if started.returncode != 0:
        raise OrchestratorError(
            "supervisord_failed",
            f"supervisord ended with code {started.returncode} before it served",
            remedy=f"supervisord's own message is the evidence; run it by hand: {' '.join(command)} -n",
            evidence=(started.stdout + started.stderr)[-2000:],
        )
    try:
        wait_until(lambda: None if supervisord.answers() else "no answer on its socket", START_DEADLINE_S)
    except DeadlineError as late:
        raise OrchestratorError(
            "supervisord_failed",
            f"supervisord: {late.reason} {supervisord.socket}, {late.waited_s:.0f} s after its start",
            remedy=f"its log says why: {stack / 'logs' / 'supervisord.log'}",
        ) from None
    return supervisord


def prepare_socket_folder(socket: Path) -> None:
    """Private, and really ours: a folder in a shared place may have been put there by somebody else."""
    folder = socket.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid():
        raise OrchestratorError(
            "socket_folder_taken",
            f"{folder} belongs to user {found.st_uid} or is a link: supervisord's socket cannot lie there",
            remedy="set ORCHESTRATOR_HOME to a shorter path, so that the socket fits into the stack's own folder",
        )
    folder.chmod(0o700)


def inherited(environment: dict[str, str]) -> dict[str, str]:
    """What services may see of the caller's environment: where things are, proxies and GPUs; no settings."""
    wanted = {*INHERITED, *PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES)}
    return {k: v for k, v in environment.items() if k in wanted or k.startswith(INHERITED_PREFIXES)}


def _transport(socket: Path) -> Any:
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(None, None, f"unix://{socket}")
    connect = transport._get_connection  # the one place to set a timeout: supervisor 4.3.0 has none

    def connection() -> Any:
        made = connect()
        made.connect()
        made.sock.settimeout(ANSWER_TIMEOUT_S)
        return made

    transport._get_connection = connection
    return transport


def _refused(what: str, fault: Fault) -> OrchestratorError:
    return OrchestratorError(
        "supervisord_refused",
        f"supervisord would not {what}: {fault.faultString}",
        remedy="its log, logs/supervisord.log in the stack's folder, says more",
        evidence=f"fault {fault.faultCode}",
    )
