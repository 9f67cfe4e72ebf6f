"""Secrets: who else can read them, and whether what is stored still depends on the one that is kept."""

from __future__ import annotations

import secrets as randomness
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

from orchestrator.doctor.check import Answer, Check, Fix, bad, not_applicable, passed
from orchestrator.doctor.context import Context
from orchestrator.errors import OrchestratorError
from orchestrator.state import StackFolder, locked, write_whole

OTHERS = stat.S_IRWXG | stat.S_IRWXO
KEY = "WEBUI_SECRET_KEY"
KEY_BYTES = 32
UPSTREAM_DEFAULT = "t0p-s3cr3t"
"""What older Open WebUI signed with where none was set, known to everybody. 0.12.4 has no default and does not start
(read in its env.py)."""
GIT_ANSWER_S = 3.0
FIX_WAIT_S = 30.0
"""For a command that is at work on the stack, as operations/doctor_context.py waits for its fixes."""
SHOWN = 5


def readable_secrets(context: Context) -> Answer:
    found = _secrets(context.folder) if context.folder is not None else []
    if not found:
        return passed("no secrets have been made yet")
    open_ones = [path for path in found if _open(path)]
    tracked = _tracked(found)
    if tracked:
        return _in_git(tracked)
    if not open_ones:
        return passed(f"{len(found)} secret files and folders, none readable by others")
    return bad(
        "; ".join(f"{path} is {stat.S_IMODE(path.stat().st_mode):04o}" for path in open_ones[:SHOWN]),
        f"{len(open_ones)} of this stack's secret files or folders are open to other users",
        "close them:",
        shlex.join(["chmod", "go=", *map(str, open_ones)]),
    )


def close_secrets(context: Context) -> None:
    """Takes rights away from others only; `chmod` gives them back."""
    if context.folder is not None:
        for path in filter(_open, _secrets(context.folder)):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS)


def _in_git(tracked: list[Path]) -> Answer:
    return bad(
        "; ".join(f"git tracks {path}" for path in tracked[:SHOWN]),
        "whoever gets the repository gets this stack's secrets, also from its history after they are removed",
        "take them out of the repository, and change what it has already shown:",
        shlex.join(["git", "-C", str(tracked[0].parent), "rm", "--cached", *map(str, tracked)]),
    )


def _secrets(folder: StackFolder) -> list[Path]:
    """The stack's own, and the copies that an engine hands to its services."""
    kept = [folder.secrets, *folder.secrets.rglob("*")]
    rendered = [folder.rendered / ".env", *(folder.rendered / "secrets").rglob("*")]
    return sorted(path for path in (*kept, *rendered) if path.exists())


def _open(path: Path) -> bool:
    """A folder that others may pass through is open where its files are; links are judged by what they name."""
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & OTHERS)
    except OSError:
        return False


def _tracked(paths: list[Path]) -> list[Path]:
    """Asked of git only where a repository lies above: most stacks lie in none."""
    root = next((parent for parent in paths[0].resolve().parents if (parent / ".git").exists()), None)
    if root is None or shutil.which("git") is None:
        return []
    files = [str(path.resolve()) for path in paths if path.is_file()]
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--", *files],
            capture_output=True, text=True, timeout=GIT_ANSWER_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [root / name for name in done.stdout.split("\0") if name]


def signing_key(context: Context) -> Answer:
    folder = context.folder
    if context.plan is not None and "webui" not in context.plan.roles:
        return not_applicable("this stack has no Open WebUI")
    if folder is None or not (folder.credentials_file.exists() or _was_started(folder)):
        return passed("no secrets have been made yet; `up` makes them at random")
    kept, used = kept_key(folder), used_key(folder)
    where = str(folder.credentials_file)
    if not kept:
        return _no_key(context, used, f"{KEY} is {'empty' if folder.credentials_file.exists() else 'gone'} in {where}")
    if kept == UPSTREAM_DEFAULT:
        return bad(
            f"{KEY} in {where} is the default of older Open WebUI",
            "whoever knows the default can sign in as anybody",
            "put a random one in its place (everybody signs in anew), then:",
            'python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
            context.up_with(),
        )
    if used and used != kept:
        return bad(
            f"{KEY} in {where} is not the one in {_copy(folder)}, with which Open WebUI was last started",
            "the key was changed since the data was made: with the new one everybody is signed out, and stored tokens "
            "can no longer be read",
            f"put the old one back (from {_copy(folder)}), or keep the new one and have everybody sign in anew:",
            context.up_with(),
        )
    return passed(f"{len(kept)} characters, {'as Open WebUI was last started with' if used else 'not used yet'}")


def keep_key(context: Context) -> None:
    """The one in use, else a new one; never another one than that which stored data was made with."""
    folder = context.folder
    if folder is None or kept_key(folder):
        return
    used = used_key(folder)
    if not used and _was_started(folder):
        raise OrchestratorError(
            "key_lost",
            f"stored data depends on a {KEY} that is nowhere any more: a new one would sign everybody out",
            remedy=f"restore {folder.credentials_file} from a backup, or write a new {KEY} into it yourself",
        )
    with locked(folder, "doctor --fix", wait_s=FIX_WAIT_S):
        file = folder.credentials_file
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        others = [line for line in lines if line.partition("=")[0] != KEY]
        made = used or randomness.token_urlsafe(KEY_BYTES)
        write_whole(file, "\n".join([*others, f"{KEY}={made}"]) + "\n", mode=0o600)


def _no_key(context: Context, used: str | None, evidence: str) -> Answer:
    folder = context.folder
    consequence = "Open WebUI signs its sessions with it, and does not start without one"
    if folder is not None and used:
        text = f"put the one back that it was started with; it stands in {_copy(folder)}:"
    elif folder is not None and _was_started(folder):
        text = f"restore {folder.credentials_file} from a backup: what is stored depends on the key that was there"
        return bad(evidence, consequence, text)
    else:
        text = "have one made:"
    return bad(evidence, consequence, text, context.command("doctor", "--fix", "--only", "sec.secret"))


def kept_key(folder: StackFolder) -> str | None:
    """From the credentials file, whose values are written as they are."""
    try:
        lines = folder.credentials_file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((value for name, _, value in (line.partition("=") for line in lines) if name == KEY), None)


def used_key(folder: StackFolder) -> str | None:
    """From the copy that the engine handed to Open WebUI's shell, quoted for it."""
    copy = _copy(folder)
    if copy is None:
        return None
    for line in copy.read_text(encoding="utf-8").splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        if name == KEY:
            return "".join(shlex.split(value))
    return None


def _copy(folder: StackFolder) -> Path | None:
    """Compose's, else the native engine's."""
    copies = (folder.rendered / "secrets" / "webui.env", folder.secrets / "webui.env")
    return next((path for path in copies if path.is_file()), None)


def _was_started(folder: StackFolder) -> bool:
    """Something may depend on the key: an `up` got as far as rendering, or Open WebUI's data lies there."""
    return folder.record_file.exists() or _copy(folder) is not None or any((folder.data / "webui").glob("*"))


SECRET_MODES = Check(
    id="sec.env",
    area="network",
    question="Can only this user read the stack's secrets, and are they in no repository?",
    reads=("mode of every file under the stack's secrets folder", "git ls-files, where the stack lies in a repository"),
    severity="warn",
    answer=readable_secrets,
    fix=Fix(text="take the rights of other users from the stack's secret files (chmod go=)", apply=close_secrets),
)
SIGNING_KEY = Check(
    id="sec.secret",
    area="network",
    question="Is Open WebUI's signing key there, random, and the one that its data was made with?",
    reads=(f"{KEY} in the stack's credentials file", "the copy that Open WebUI was last started with"),
    severity="fail",
    answer=signing_key,
    fix=Fix(
        text=f"put back the {KEY} that Open WebUI was last started with, or make one where nothing depends on it yet",
        apply=keep_key,
    ),
)
CHECKS = (SECRET_MODES, SIGNING_KEY)
