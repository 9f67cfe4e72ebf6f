"""Where plans, secrets, locks, logs and results live. One folder per stack; every file written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import OrchestratorError, usage_error

NAME_LENGTH = 40
"""A stack's name becomes a Compose project and part of container names (Docker allows 63 characters in a label)."""


def home() -> Path:
    """`$ORCHESTRATOR_HOME`, else the platform's user data folder. Not created here."""
    chosen = os.environ.get("ORCHESTRATOR_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_path("orchestrator"))


class StackFolder:
    """The paths of one stack. Nothing is created until something is written."""

    def __init__(self, name: str, root: Path | None = None) -> None:
        if not valid_name(name):
            raise usage_error(
                "stack",
                name,
                f"a stack's name has lower-case letters, digits and '-', starts with a letter, at most {NAME_LENGTH}",
                "choose another name, for example --stack team-search",
            )
        self.name = name
        self.path = (root or home()) / "stacks" / name

    @classmethod
    def at(cls, name: str, path: Path) -> StackFolder:
        """A stack whose files lie in a folder that the user named (`render --out DIR`)."""
        folder = cls(name)
        folder.path = path.absolute()
        return folder

    @property
    def plan_file(self) -> Path:
        return self.path / "plan.json"

    @property
    def record_file(self) -> Path:
        """What the last successful `up` left: see operations/record.py."""
        return self.path / "record.json"

    @property
    def rendered(self) -> Path:
        return self.path / "rendered"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def credentials_file(self) -> Path:
        return self.secrets / "credentials.env"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    def exists(self) -> bool:
        return self.plan_file.exists()


def valid_name(name: str) -> bool:
    return (
        0 < len(name) <= NAME_LENGTH
        and name[0].isascii()
        and name[0].isalpha()
        and name == name.lower()
        and all(c.isascii() and (c.isalnum() or c == "-") for c in name)
    )


def models_folder() -> Path:
    """Weights, shared by all stacks: one folder per `WeightsSource.key`, whole when it has a `.complete.json`."""
    return home() / "models"


def environments_folder() -> Path:
    """Locked Python environments and built programs, shared by all stacks."""
    return home() / "environments"


DOWNLOAD_MARGIN = 1.1
"""Room asked for per byte still to be downloaded (estimate: file system overhead and what else grows meanwhile)."""


def stack_names() -> list[str]:
    """Stacks that have a plan, in order of name."""
    folder = home() / "stacks"
    return sorted(p.name for p in folder.iterdir() if (p / "plan.json").exists()) if folder.is_dir() else []


def write_whole(path: Path, content: bytes | str, mode: int = 0o644) -> None:
    """Replace `path` in one step: a reader, or a crash, sees the old content or the new, never a part."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def locked(
    folder: StackFolder, command: str, *, wait_s: float, waiting: Callable[[str], None] | None = None
) -> Iterator[None]:
    """One writer at a time. Waits up to `wait_s`; then says who holds the lock.

    The lock is the kernel's (released when the holder dies, also by SIGKILL); the note beside it only names the holder.
    `waiting` is called once with the holder's description before the wait begins.
    """
    from filelock import FileLock, Timeout

    folder.path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.lock_file)
    note = folder.lock_file.with_suffix(".holder")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is not None:
            waiting(_holder(note))
        try:
            lock.acquire(timeout=wait_s)
        except Timeout:
            raise OrchestratorError(
                "locked",
                f"stack {folder.name}: {_holder(note)} holds the lock, still after {wait_s:.0f} s",
                remedy="wait for it to end, or stop that process; --lock-timeout SECONDS waits longer",
            ) from None
    try:
        write_whole(note, json.dumps({"pid": os.getpid(), "command": command}))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _holder(note: Path) -> str:
    try:
        holder = json.loads(note.read_text(encoding="utf-8"))
        return f"`orchestrator {holder['command']}` (pid {holder['pid']})"
    except (OSError, ValueError, KeyError):
        return "another orchestrator command"
