"""The files that supervisord reads: one configuration, and one readable start script per service. Pure."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec

from orchestrator.engines.engine import RenderedFile
from orchestrator.engines.leftovers import ROLE_VARIABLE, STACK_VARIABLE
from orchestrator.engines.templates import template
from orchestrator.engines.waves import waves_of
from orchestrator.plan.records import Role
from orchestrator.services.service import Program, Service
from orchestrator.state import StackFolder

CONFIGURATION = "supervisord.conf"
SCRIPT_VARIABLE = "ORCHESTRATOR_SCRIPT"
"""In a service's environment from its first moment: which start script it runs. In supervisord's configuration, so that
a changed script is a changed program, which supervisord itself restarts when it reads its configuration again."""
LOG_BYTES = "10MB"
LOG_BACKUPS = 3
LONGEST_START_S = 120
"""A service that ends sooner counts as a failed start and is given up after START_RETRIES; measured: vLLM refuses its
settings within 113 s. One that ends later is started again without limit, as Docker's `unless-stopped` does."""
START_RETRIES = 2
EVERY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a script, ready to be pasted into it, and why it is so."""

    text: str
    why: str = ""


class Needed(msgspec.Struct, frozen=True, kw_only=True):
    """What a script waits for before it starts its own program."""

    name: str
    host: str
    port: int
    path: str
    deadline_s: int


def native_files(
    folder: StackFolder, services: tuple[Service, ...], socket: Path, executable: Callable[[Program], Path]
) -> tuple[RenderedFile, ...]:
    waves = waves_of(services)
    priority = {service.role: number for number, wave in enumerate(waves, 1) for service in wave}
    by_role = {service.role: service for service in services}
    needed = {s.role: [_needed(by_role[role]) for role in s.depends_on if role in by_role] for s in services}
    scripts = tuple(_script(folder, s, needed[s.role], executable(s.program)) for s in services)
    configuration = template("supervisord.conf.j2").render(
        stack=folder.name,
        folder=_percent(folder.path),
        logs=_percent(folder.logs),
        service_logs=_percent(_percent(folder.logs)),  # supervisor 4.3.0 expands `stdout_logfile` twice
        socket=_percent(socket),
        services=services,
        scripts={s.role: _percent(shlex.quote(str(folder.rendered / script_path(s.role)))) for s in services},
        priority=priority,
        log_bytes=LOG_BYTES,
        log_backups=LOG_BACKUPS,
        start_retries=START_RETRIES,
        variables=(ROLE_VARIABLE, SCRIPT_VARIABLE),
        script_ids={service.role: script_id(script) for service, script in zip(services, scripts, strict=True)},
        starting_s={service.role: min(service.start_deadline_s, LONGEST_START_S) for service in services},
    )
    return (RenderedFile(path=CONFIGURATION, text=configuration, mode=0o600), *scripts)


def script_path(role: Role) -> str:
    return f"run/{role}.sh"


def secrets_path(folder: StackFolder, role: Role) -> Path:
    return folder.secrets / f"{role}.env"


def script_id(script: RenderedFile) -> str:
    return hashlib.sha256(script.text.encode()).hexdigest()[:16]


def _script(folder: StackFolder, service: Service, needed: list[Needed], program: Path) -> RenderedFile:
    context = {
        "service": service,
        "stack": folder.name,
        "marks": {STACK_VARIABLE: shlex.quote(str(folder.path)), ROLE_VARIABLE: service.role},
        "secrets": shlex.quote(str(secrets_path(folder, service.role))),
        "header_notes": _header_notes(service),
        "exports": [
            Line(text=f"export {name}={shlex.quote(value)}", why=service.notes.get(name, ""))
            for name, value in service.environment.items()
        ],
        "run_folder": shlex.quote(str(folder.path / "run")),
        "pid_file": shlex.quote(str(folder.path / "run" / f"{service.role}.pid")),
        "needed": needed,
        "directory": shlex.quote(service.working_directory or str(folder.data / service.role)),
        "bin": shlex.quote(str(program.parent)) if program.is_absolute() else "",
        "program": shlex.quote(str(program)),
        "arguments": _argument_lines(service),
    }
    return RenderedFile(path=script_path(service.role), text=template("run.sh.j2").render(**context), mode=0o755)


def _header_notes(service: Service) -> list[str]:
    """Reasons that belong to no single line of the script: the model, the health check, the grace."""
    elsewhere = {*service.environment, *service.arguments, "image", "published_port", "shm"}
    return [f"{name}: {' '.join(why.split())}" for name, why in service.notes.items() if why and name not in elsewhere]


def _argument_lines(service: Service) -> list[Line]:
    """A flag and its value on one line, with the reason above it."""
    lines: list[Line] = []
    words = list(service.arguments)
    while words:
        word = words.pop(0)
        text = shlex.quote(word)
        if word.startswith("-") and words and not words[0].startswith("-"):
            text = f"{text} {shlex.quote(words.pop(0))}"
        lines.append(Line(text=text, why=" ".join(service.notes.get(word, "").split())))
    return lines


def _needed(service: Service) -> Needed:
    return Needed(
        name=service.name,
        host=EVERY_HOST.get(service.listen, service.listen),
        port=service.port,
        path=service.health.path,
        deadline_s=service.start_deadline_s,
    )


def _percent(path: Path | str) -> str:
    """supervisord expands `%(name)s` in its values, also in what `%(here)s` stood for: so paths are written out."""
    return str(path).replace("%", "%%")
