"""Secrets: who else on this machine can read them."""

from __future__ import annotations

import stat
from pathlib import Path

from orchestrator.doctor.check import Answer, Check, bad, passed
from orchestrator.doctor.context import Context
from orchestrator.state import StackFolder

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def secret_modes(context: Context) -> Answer:
    found = _secrets(context.folder) if context.folder is not None else []
    if not found:
        return passed("no secrets have been made yet")
    open_ones = [path for path in found if _open(path)]
    if not open_ones:
        return passed(f"{len(found)} secret files and folders, none readable by others")
    return bad(
        "; ".join(f"{path} is {stat.S_IMODE(path.stat().st_mode):04o}" for path in open_ones[:5]),
        f"{len(open_ones)} of this stack's secret files or folders are open to other users",
        "close them:",
        f"chmod go= {' '.join(str(path) for path in open_ones)}",
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


SECRET_MODES = Check(
    id="sec.env",
    area="network",
    question="Can only this user read the stack's secrets?",
    reads=("mode of every file under the stack's secrets folder",),
    severity="warn",
    answer=secret_modes,
)
CHECKS = (SECRET_MODES,)
