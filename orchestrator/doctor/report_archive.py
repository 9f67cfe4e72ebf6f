"""One archive of texts, as `--report` writes it: nothing of this machine in its headers either."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
from collections.abc import Mapping

from orchestrator.errors import usage_error

TAR_ENDINGS = (".tar.gz", ".tgz")


def archive(name: str, entries: Mapping[str, str]) -> bytes:
    """`entries`: path inside → text. All lie in one folder, so that unpacking makes no mess."""
    check_ending(name)
    write = _tar if name.endswith(TAR_ENDINGS) else _zip
    return write({f"orchestrator-report/{path}": text.encode() for path, text in entries.items()})


def check_ending(name: str) -> None:
    if not name.endswith((*TAR_ENDINGS, ".zip")):
        raise usage_error("--report", name, "no archive that I can write", "end it in .tar.gz or .zip")


def _tar(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for path, content in entries.items():
            member = tarfile.TarInfo(path)  # its owner is nobody: uid 0 without a name
            member.size, member.mtime, member.mode = len(content), int(time.time()), 0o644
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _zip(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for path, content in entries.items():
            packed.writestr(path, content)
    return buffer.getvalue()
