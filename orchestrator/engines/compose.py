"""The engine `compose`: one readable compose.yaml, run by `docker compose`; the docker SDK pulls and observes."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from orchestrator.catalog.pins import load_pins
from orchestrator.engines.compose_command import compose_argv, run_compose
from orchestrator.engines.compose_containers import containers_of, running_of, sweep
from orchestrator.engines.compose_docker import connect
from orchestrator.engines.compose_images import image_id, pull_missing, read_digests, resolve_digests, with_digest
from orchestrator.engines.compose_mounts import refuse_links_that_lead_out
from orchestrator.engines.compose_place import compose_place
from orchestrator.engines.compose_render import DEFINITION, block_of, compose_file, project_of
from orchestrator.engines.compose_secrets import secret_files, secrets_hash
from orchestrator.engines.engine import Change, RenderedFile, Running
from orchestrator.engines.waves import waves_of
from orchestrator.errors import EXIT_INTERRUPTED, OrchestratorError
from orchestrator.plan.records import EngineName, Plan, Role
from orchestrator.progress import Progress
from orchestrator.services.place import Place
from orchestrator.services.service import Service
from orchestrator.state import StackFolder, write_whole

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["ComposeEngine", "resolve_digests"]

TAIL_LINES = 25


class ComposeEngine:
    name: EngineName = "compose"

    def __init__(self, folder: StackFolder) -> None:
        self.folder = folder
        self.project = project_of(folder.name)
        self.digests = read_digests(folder)

    def place(self, plan: Plan, model_path: Path | None) -> Place:
        return compose_place(plan, model_path, load_pins())

    def render(self, plan: Plan, services: tuple[Service, ...]) -> tuple[RenderedFile, ...]:
        return (RenderedFile(path="compose.yaml", text=compose_file(plan, self._locked(services))),)

    def write(
        self, services: tuple[Service, ...], files: tuple[RenderedFile, ...], secrets: Mapping[str, str]
    ) -> tuple[Path, ...]:
        wanted = {self.folder.rendered / file.path: file for file in (*files, *secret_files(services, secrets))}
        private = self.folder.rendered / "secrets"
        private.mkdir(parents=True, exist_ok=True)
        private.chmod(0o700)
        for path, file in wanted.items():
            write_whole(path, file.text, file.mode)
        for path in private.glob("*.env"):
            if path not in wanted:
                path.unlink()
        return tuple(wanted)

    def start_command(self) -> str:
        return f"docker compose --file {shlex.quote(str(self.folder.rendered / 'compose.yaml'))} up --detach"

    def prepare(self, services: tuple[Service, ...], progress: Progress) -> None:
        refuse_links_that_lead_out(services)
        pull_missing(self._locked(services), progress)

    def changes(self, services: tuple[Service, ...], secrets: Mapping[str, str]) -> dict[Role, Change]:
        """What `apply` would do to each service. Reads only."""
        client = connect()
        there = containers_of(client, self.project)
        wanted = {s.role: self._change(client, s, there.get(s.role), secrets) for s in self._locked(services)}
        gone: dict[Role, Change] = {role: "remove" for role in there if role not in wanted}  # type: ignore[misc]
        return wanted | gone

    def apply(
        self,
        services: tuple[Service, ...],
        files: tuple[RenderedFile, ...],
        secrets: Mapping[str, str],
        progress: Progress,
        ready: Callable[[Service], None],
    ) -> None:
        self.write(services, files, secrets)
        changes = self.changes(services, secrets)
        waited: set[Role] = set()

        def wait_for(roles: Iterable[Role]) -> None:
            by_role = {service.role: service for service in services}
            for role in roles:
                if role not in waited:
                    ready(by_role[role])
                    waited.add(role)

        for wave in waves_of(services):
            wait_for(role for service in wave for role in service.depends_on)
            self._up([service for service in wave if changes[service.role] in ("create", "start")], progress)
            self._up([service for service in wave if changes[service.role] == "recreate"], progress, "--force-recreate")
        if "remove" in changes.values():
            self._compose("up", "--detach", "--no-deps", "--no-recreate", "--pull", "never", "--remove-orphans")
        wait_for(service.role for service in services)

    def observe(self) -> tuple[Running, ...]:
        roles = self._known_roles()
        if not roles:
            return ()
        client = connect()
        there = containers_of(client, self.project)
        return tuple(
            running_of(client, role, there[role]) if role in there else Running(role=role, state="absent")
            for role in roles
        )

    def logs(self, role: Role, lines: int) -> list[str]:
        container = containers_of(connect(), self.project).get(role)
        return [] if container is None else _tail(container, lines)

    def follow(self, roles: tuple[Role, ...], lines: int) -> int:
        argv = compose_argv(self.project, self.folder.rendered, "logs", "--follow", "--tail", str(lines), *roles)
        try:
            return subprocess.run(argv, check=False).returncode
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED

    def down(self, *, volumes: bool, progress: Progress) -> None:
        if (self.folder.rendered / "compose.yaml").exists():
            try:
                self._compose("down", "--remove-orphans", *(("--volumes",) if volumes else ()))
            except OrchestratorError as error:
                if error.code != "compose_failed":
                    raise
                progress.note(f"{error.message}; going on with everything that carries this stack's label")
        sweep(connect(), self.project, volumes=volumes)

    def _locked(self, services: tuple[Service, ...]) -> tuple[Service, ...]:
        return tuple(with_digest(service, self.digests) for service in services)

    def _change(
        self, client: DockerClient, service: Service, container: Container | None, secrets: Mapping[str, str]
    ) -> Change:
        if container is None:
            return "create"
        wanted = (block_of(self.folder.name, service).definition, secrets_hash(service, secrets))
        found = (container.labels.get(DEFINITION), container.labels.get("orchestrator.secrets", ""))
        if wanted != found or container.attrs["Image"] != image_id(client, service.image):
            return "recreate"
        running = running_of(client, service.role, container)
        if running.state != "running":
            return "start"
        return "recreate" if running.healthy is False else "none"

    def _up(self, services: list[Service], progress: Progress, *options: str) -> None:
        """Start these and nothing else: what they depend on is ready already, and images were pulled before."""
        if not services:
            return
        roles = [service.role for service in services]
        progress.note(f"docker compose up {' '.join(roles)}")
        try:
            self._compose("up", "--detach", "--no-deps", "--pull", "never", *options, *roles)
        except OrchestratorError as error:
            raise self._with_logs(error, services) from None

    def _with_logs(self, error: OrchestratorError, services: list[Service]) -> OrchestratorError:
        """Compose's words, then those of the containers that did not come up."""
        there = containers_of(connect(), self.project)
        tails = [
            f"--- {service.role} ({service.name}): last lines\n" + "\n".join(lines)
            for service in services
            if service.role in there and (lines := _tail(there[service.role], TAIL_LINES))
        ]
        return OrchestratorError(
            error.code, error.message, remedy=error.remedy, evidence="\n".join([error.evidence, *tails])
        )

    def _compose(self, *words: str) -> str:
        return run_compose(compose_argv(self.project, self.folder.rendered, *words))

    def _known_roles(self) -> tuple[Role, ...]:
        """The services of the rendered file: what this stack was last meant to run."""
        import yaml

        path = self.folder.rendered / "compose.yaml"
        if not path.exists():
            return ()
        try:
            services = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
            return msgspec.convert(tuple(services), tuple[Role, ...])
        except (yaml.YAMLError, KeyError, TypeError, msgspec.ValidationError):
            return get_args(Role)  # edited into something else: then every service may be there


def _tail(container: Container, lines: int) -> list[str]:
    return container.logs(tail=lines).decode(errors="replace").splitlines()
