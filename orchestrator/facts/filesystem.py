"""What a folder lies on: the kind of file system, its inodes, how it is mounted, how SELinux labels it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

MOUNTS = Path("/proc/self/mountinfo")


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    point: str
    kind: str
    """ext4, xfs, overlay, nfs4, 9p, fuse.sshfs, ..."""
    source: str
    options: tuple[str, ...] = ()


class Inodes(msgspec.Struct, frozen=True, kw_only=True):
    free: int
    total: int
    """0 where the file system does not count them (btrfs)."""


def nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that exists: where it would be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def mount_of(folder: Path, mounts: Path = MOUNTS) -> Mount | None:
    """The mount with the longest path above `folder`; of several on one path the last, which hides the others."""
    path = os.path.realpath(nearest(folder))
    best: Mount | None = None
    for mount in _mounts(mounts):
        above = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if above and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def inodes_of(folder: Path) -> Inodes | None:
    try:
        stat = os.statvfs(nearest(folder))
    except OSError:
        return None
    return Inodes(free=stat.f_favail, total=stat.f_files)


def selinux_mode(root: Path = Path("/")) -> str | None:
    """enforcing or permissive; None where the kernel has no SELinux or it is off."""
    try:
        enforce = (root / "sys/fs/selinux/enforce").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return "enforcing" if enforce == "1" else "permissive"


def selinux_type(path: Path) -> str | None:
    """`user_home_t` of `system_u:object_r:user_home_t:s0`; None without a label."""
    try:
        label = os.getxattr(path, "security.selinux").rstrip(b"\0").decode()
    except OSError:
        return None
    parts = label.split(":")
    return parts[2] if len(parts) > 2 else None


def _mounts(file: Path) -> list[Mount]:
    """proc(5): `36 35 98:0 /root /point options [optional fields] - kind source options`."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        left, separator, right = line.partition(" - ")
        before, after = left.split(" "), right.split(" ")
        if separator and len(before) > 5 and len(after) > 1:
            found.append(
                Mount(
                    point=_unescaped(before[4]),
                    kind=after[0],
                    source=_unescaped(after[1]),
                    options=tuple(before[5].split(",")),
                )
            )
    return found


def _unescaped(text: str) -> str:
    """The kernel writes a space as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
