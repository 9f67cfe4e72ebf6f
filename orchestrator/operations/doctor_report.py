"""What `doctor --report` gathers: enough to understand a fault from afar, and nothing that is nobody's business."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.catalog.pins import load_pins
from orchestrator.doctor.context import Context
from orchestrator.doctor.redaction import Private, redacted
from orchestrator.doctor.report_archive import archive
from orchestrator.errors import OrchestratorError, not_written
from orchestrator.plan.records import Role
from orchestrator.result import Result, envelope
from orchestrator.state import StackFolder, home, write_whole

LOG_LINES = 300
"""Of each service. vLLM tells the cause well above its last line (facts: 200 lines hold it)."""
SECRET_PARTS = frozenset({"secrets", ".env"})
"""Never read for the archive, in whatever folder."""
WELL_KNOWN = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
"""Variables whose value may be, or hold, a secret of the user's own."""
ABOUT = """Made by `orchestrator doctor --report`.

findings.json   what doctor said, as `--json` prints it
versions.json   this tool, Python, the system, and the versions that it pins
facts.json      what was read from the machine
plan.json       what is planned, or why nothing is
services.json   what the engine says of each service
rendered/       the files that the engine reads; the folder with the secrets is left out
logs/           the last {lines} lines of each service

Left out or replaced: every secret, home folders (~), $ORCHESTRATOR_HOME, the names of user and host.
Have a look before you hand it on.
"""


def write_report(path: Path, context: Context, result: Result) -> None:
    content = archive(path.name, report_entries(context, result))
    try:
        write_whole(path, content, mode=0o600)
    except OSError as error:
        raise not_written("--report", path, error) from None


def report_entries(context: Context, result: Result) -> dict[str, str]:
    """Path inside the archive → its text, redacted as a whole: no part can be forgotten."""
    private = private_of(context.folder)
    return {path: redacted(text, private) for path, text in _entries(context, result)}


def private_of(folder: StackFolder | None) -> Private:
    host = socket.gethostname()
    names = {_user(): "<user>", host: "<host>", host.partition(".")[0]: "<host>"}
    folders = {
        str(path): word
        for place, word in ((home(), "$ORCHESTRATOR_HOME"), (Path.home(), "~"))
        for path in (place, place.resolve())
    }
    return Private(
        secrets=tuple(_secrets(folder)),
        folders=tuple((path, word) for path, word in folders.items() if path != "/"),
        names=tuple(names.items()),
    )


def _entries(context: Context, result: Result) -> Iterator[tuple[str, str]]:
    yield "README.txt", ABOUT.format(lines=LOG_LINES)
    yield "findings.json", _json(envelope(result))
    yield "versions.json", _json(_versions(context))
    yield "facts.json", _json(context.facts)
    why_none = "" if context.plan else context.no_plan
    yield "plan.json", _json({"spec": context.spec, "plan": context.plan, "no_plan": why_none})
    yield "services.json", _json(list(context.running))
    if context.folder is not None:
        for path in sorted(context.folder.rendered.rglob("*")):
            inside = path.relative_to(context.folder.rendered)
            if path.is_file() and not SECRET_PARTS & set(inside.parts):
                yield f"rendered/{inside}", path.read_text(encoding="utf-8", errors="replace")
    if context.stack is not None and context.plan is not None:
        for role in context.plan.roles:
            yield f"logs/{role}.log", _log(context, role)


def _log(context: Context, role: Role) -> str:
    try:
        return "\n".join(context.existing.logs(role, LOG_LINES)) + "\n"
    except OrchestratorError as error:
        return f"cannot be read: {error.message}\n"


def _versions(context: Context) -> dict[str, Any]:
    return {
        "orchestrator": version("orchestrator"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "distribution": context.facts.host.distribution,
        "docker": context.facts.docker.server_version,
        "compose": context.facts.docker.compose_version,
        "driver": context.facts.gpu.driver,
        "pins": load_pins(),
    }


def _secrets(folder: StackFolder | None) -> Iterator[str]:
    """All values that any secret file of the stack holds, read line by line: a damaged file is no excuse."""
    for name in WELL_KNOWN:
        if value := os.environ.get(name):
            yield value
    if folder is None:
        return
    for place in (folder.secrets, folder.rendered):
        for path in place.rglob("*"):
            if path.is_file() and (place == folder.secrets or SECRET_PARTS & set(path.relative_to(place).parts)):
                yield from _values(path)


def _values(path: Path) -> Iterator[str]:
    """Both forms in which engines keep them: `KEY=value` and `export KEY='value'`."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        if line.strip() and not line.startswith("#"):
            written = line.partition("=")[2] or line.strip()
            yield written
            yield "".join(shlex.split(written)) if written.count("'") % 2 == 0 else written


def _user() -> str:
    """Empty where this uid has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(value, enc_hook=str)), indent=2).decode()
