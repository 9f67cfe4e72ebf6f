"""Engine `native`: supervisord runs the services as processes of this user; each upstream from its own environment."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.engines import leftovers, supervisord
from orchestrator.engines.engine import Change, RenderedFile, Running, RunState
from orchestrator.engines.logs import follow, last_lines
from orchestrator.engines.native_programs import executable_of, prepare_program
from orchestrator.engines.native_render import CONFIGURATION, native_files, script_path
from orchestrator.engines.native_secrets import SECRETS_VARIABLE, secret_texts, secrets_id
from orchestrator.engines.supervisord import ProcessState, Supervised, Supervisord
from orchestrator.engines.supervisord_log import Past, pasts_of, service_pids_of
from orchestrator.engines.waves import waves_of
from orchestrator.errors import EXIT_INTERRUPTED
from orchestrator.plan.records import EngineName, Plan, Role
from orchestrator.progress import Progress
from orchestrator.services.place import Place
from orchestrator.services.service import Service
from orchestrator.state import StackFolder, write_whole
from orchestrator.waiting import DeadlineError, wait_until

if TYPE_CHECKING:
    import psutil

LOOPBACK = "127.0.0.1"
STOP_MARGIN_S = 15.0
"""estimate: what supervisord needs beside the services' own graces."""
STATES: dict[ProcessState, RunState] = {
    "STARTING": "running",  # the process is there; whether it answers is readiness's question
    "RUNNING": "running",
    "STOPPING": "running",
    "BACKOFF": "restarting",
    "STOPPED": "exited",
    "EXITED": "exited",
    "FATAL": "exited",
    "UNKNOWN": "exited",
}


class NativeEngine:
    name: EngineName = "native"

    def __init__(self, folder: StackFolder) -> None:
        self.folder = folder
        self.supervisord = Supervisord(supervisord.socket_of(folder.path))

    def place(self, plan: Plan, model_path: Path | None) -> Place:
        """Everything on this host. Only Open WebUI listens where the user said: the others know no one to keep out."""
        return Place(
            container=False,
            listen={role: plan.listen if role == "webui" else LOOPBACK for role in plan.roles},
            ports=dict(plan.ports),
            published_host=plan.listen,
            published_ports=dict(plan.ports),
            hosts=dict.fromkeys(plan.roles, LOOPBACK),
            data={role: str(self.folder.data / role) for role in plan.roles},
            volumes={},
            model_path=plan.weights.source.reference if model_path is None else str(model_path),
            model_mount_source=None,
        )

    def render(self, plan: Plan, services: tuple[Service, ...]) -> tuple[RenderedFile, ...]:
        return native_files(self.folder, services, self.supervisord.socket, executable_of)

    def write(
        self, services: tuple[Service, ...], files: tuple[RenderedFile, ...], secrets: Mapping[str, str]
    ) -> tuple[Path, ...]:
        for folder in (self.folder.path, self.folder.logs, self.folder.secrets, self.folder.data):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder.path / "run").mkdir(mode=0o700, exist_ok=True)
        supervisord.prepare_socket_folder(self.supervisord.socket)
        hidden = dict(chain.from_iterable(secret_texts(self.folder, s, secrets).items() for s in services))
        for path, text in hidden.items():
            write_whole(path, text, 0o600)
        for file in files:
            write_whole(self.folder.rendered / file.path, file.text, file.mode)
        written = (*(self.folder.rendered / file.path for file in files), *hidden)
        for path in (*self.folder.rendered.glob("run/*.sh"), *self.folder.secrets.glob("*.env")):
            if path not in written and path != self.folder.credentials_file:
                path.unlink()
        return written

    def start_command(self) -> str:
        program = Path(sys.executable).with_name("supervisord")
        return shlex.join((str(program), "-c", str(self.folder.rendered / CONFIGURATION)))

    def prepare(self, services: tuple[Service, ...], progress: Progress) -> None:
        for program in dict.fromkeys(service.program for service in services):
            prepare_program(program, progress)

    def changes(self, services: tuple[Service, ...], secrets: Mapping[str, str]) -> dict[Role, Change]:
        running = {each.role: each for each in self.observe()}
        scripts = {
            file.path: file.text for file in native_files(self.folder, services, self.supervisord.socket, executable_of)
        }
        wanted: dict[Role, Change] = {
            s.role: self._change(s, scripts[script_path(s.role)], running.get(s.role), secrets) for s in services
        }
        gone: dict[Role, Change] = dict.fromkeys(running.keys() - wanted.keys(), "remove")
        return wanted | gone

    def apply(
        self,
        services: tuple[Service, ...],
        files: tuple[RenderedFile, ...],
        secrets: Mapping[str, str],
        progress: Progress,
        ready: Callable[[Service], None],
    ) -> None:
        """supervisord starts what is new, restarts what changed and stops what is gone; start scripts wait for what

        their service depends on, so that order holds also when supervisord starts alone."""
        grace_s = max((*self._graces_s(), *(float(service.stop_grace_s) for service in services)))
        self.write(services, files, secrets)
        if self.supervisord.answers():
            self.supervisord.reload(grace_s + STOP_MARGIN_S)
        else:
            self._stop_leftovers(grace_s, progress)
            supervisord.launch(self.folder.rendered / CONFIGURATION, self.folder.path, dict(os.environ))
        needed = {role for service in services for role in service.depends_on}
        for wave in waves_of(services):
            for service in wave:
                self._ensure_runs(service, secrets_id(service, secrets), progress)
            for service in wave:
                if service.role in needed:
                    ready(service)

    def observe(self) -> tuple[Running, ...]:
        """A service that runs without supervisord (somebody killed that) is `absent` with the pid of what is left."""
        if not self.supervisord.answers():
            return self._observe_leftovers()
        pasts = pasts_of(self._supervisord_log())
        told = self.supervisord.programs()
        return tuple(_running(role, told[role], pasts.get(role, Past())) for role in self._roles() if role in told)

    def logs(self, role: Role, lines: int) -> list[str]:
        return last_lines(self._log(role), lines)

    def follow(self, roles: tuple[Role, ...], lines: int) -> int:
        def show(text: str) -> None:
            sys.stdout.write(text)
            sys.stdout.flush()

        try:
            follow({role: self._log(role) for role in roles}, lines, show)
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        return 0

    def down(self, *, volumes: bool, progress: Progress) -> None:
        graces_s = self._graces_s()
        if self.supervisord.answers():
            self._shut_down(sum(graces_s) + STOP_MARGIN_S, progress)
        self._stop_leftovers(max(graces_s, default=STOP_MARGIN_S), progress)
        self.supervisord.socket.unlink(missing_ok=True)
        (self.folder.path / "run" / "supervisord.pid").unlink(missing_ok=True)
        if volumes and self.folder.data.exists():
            shutil.rmtree(self.folder.data)

    def _change(self, service: Service, script: str, seen: Running | None, secrets: Mapping[str, str]) -> Change:
        written = self.folder.rendered / script_path(service.role)
        if not written.exists():
            return "create"
        if seen is None or seen.state != "running" or seen.pid is None:
            return "start"
        same_secrets = _started_with(seen.pid) in (None, secrets_id(service, secrets))
        return "none" if same_secrets and written.read_text(encoding="utf-8") == script else "recreate"

    def _ensure_runs(self, service: Service, secrets_now: str, progress: Progress) -> None:
        program = self.supervisord.programs()[service.role]
        if program.pid and _started_with(program.pid) in (None, secrets_now):
            return
        if program.pid or program.statename == "BACKOFF":
            progress.note(f"{service.name} is started again: its secrets changed or it failed to start")
            self.supervisord.stop([service.role], service.stop_grace_s + STOP_MARGIN_S)
        self.supervisord.start(service.role)

    def _shut_down(self, grace_s: float, progress: Progress) -> None:
        """supervisord stops the services one by one, those that depend on others first, and ends."""
        import psutil

        pid = self.supervisord.pid()
        names = self.supervisord.programs()
        progress.note(f"stopping {', '.join(names)}: each has the time that it needs, {grace_s:.0f} s in all")
        self.supervisord.shutdown()
        try:
            wait_until(lambda: f"supervisord (pid {pid}) runs" if psutil.pid_exists(pid) else None, grace_s)
        except DeadlineError as late:
            progress.note(f"{late.reason} still after {late.waited_s:.0f} s: it is stopped the hard way")

    def _stop_leftovers(self, grace_s: float, progress: Progress) -> None:
        left = self._leftovers()
        if left:
            progress.note(f"stopping {len(left)} processes of this stack that nothing supervises any more")
            leftovers.stop(left, grace_s)

    def _leftovers(self) -> list[psutil.Process]:
        return leftovers.processes_of(self.folder.path, service_pids_of(self._supervisord_log()))

    def _observe_leftovers(self) -> tuple[Running, ...]:
        pids: dict[str, int] = {}
        for process in self._leftovers():
            role = leftovers.environment_of(process).get(leftovers.ROLE_VARIABLE)
            if role is not None:
                pids.setdefault(role, process.pid)
        return tuple(Running(role=role, state="absent", pid=pids.get(role)) for role in self._roles())

    def _roles(self) -> tuple[Role, ...]:
        """Those that a start script was written for."""
        roles: tuple[Role, ...] = ("embeddings", "vectors", "webui")
        return tuple(role for role in roles if (self.folder.rendered / "run" / f"{role}.sh").exists())

    def _log(self, role: Role) -> Path:
        return self.folder.logs / f"{role}.log"

    def _supervisord_log(self) -> list[str]:
        lines: list[str] = []
        for name in ("supervisord.log.1", "supervisord.log"):
            try:
                lines += (self.folder.logs / name).read_text(encoding="utf-8", errors="replace").splitlines()
            except OSError:
                continue
        return lines

    def _graces_s(self) -> list[float]:
        """Of each service, as the written configuration says it: `down` works without a plan."""
        try:
            lines = (self.folder.rendered / CONFIGURATION).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        named = (line.removeprefix("stopwaitsecs=") for line in lines if line.startswith("stopwaitsecs="))
        return [float(value.split()[0]) for value in named]


def _running(role: Role, program: Supervised, past: Past) -> Running:
    return Running(
        role=role,
        state=STATES[program.statename],
        pid=program.pid or None,
        started_at=datetime.fromtimestamp(program.start, UTC) if program.pid else None,
        exit_code=past.exit_code,
        restarts=past.restarts,
    )


def _started_with(pid: int) -> str | None:
    """The digest of the secrets that this process has; None while its script still waits and has not read them."""
    import psutil

    try:
        return leftovers.environment_of(psutil.Process(pid)).get(SECRETS_VARIABLE)
    except psutil.NoSuchProcess:
        return None
