"""The NVIDIA driver as files: which version is loaded, which is installed, and whether there is a card at all.

NVML answers none of this once the two versions differ.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

VERSION = r"\d{3}\.\d+(?:\.\d+)?"
LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/x86_64-linux-gnu/nvidia/current",
    "usr/lib/aarch64-linux-gnu/nvidia/current",
)
"""Where Debian, Ubuntu, Fedora, openSUSE and Arch put libnvidia-ml.so; Debian's alternatives lead to the last two."""
NVIDIA_VENDOR = "0x10de"
DISPLAY_CLASS = "0x03"
"""PCI classes 0300 (VGA), 0302 (3D, as data-centre cards are)."""


class DriverVersions(msgspec.Struct, frozen=True, kw_only=True):
    loaded: str | None
    """Of the kernel module that runs now."""
    installed: tuple[str, ...] = ()
    """Of the libraries on the disk; two where an older one was left behind."""

    @property
    def differ(self) -> bool:
        return bool(self.loaded and self.installed) and self.loaded not in self.installed


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """Debian's and Ubuntu's note that a restart is pending, and the packages that want it."""

    pending: bool
    packages: tuple[str, ...] = ()


def driver_versions(root: Path = Path("/")) -> DriverVersions:
    return DriverVersions(loaded=_loaded(root), installed=_installed(root))


def restart_note(root: Path = Path("/")) -> Restart:
    note = next((path for folder in ("run", "var/run") if (path := root / folder / "reboot-required").exists()), None)
    if note is None:
        return Restart(pending=False)
    packages = _text(note.with_name("reboot-required.pkgs")).split()
    return Restart(pending=True, packages=tuple(dict.fromkeys(packages)))


def nvidia_cards(root: Path = Path("/")) -> tuple[str, ...]:
    """PCI addresses of NVIDIA's cards, driver or not. Empty in WSL and on Jetson, which have no such bus."""
    devices = sorted((root / "sys/bus/pci/devices").glob("*"))
    return tuple(
        device.name
        for device in devices
        if _text(device / "vendor").strip() == NVIDIA_VENDOR and _text(device / "class").startswith(DISPLAY_CLASS)
    )


def _loaded(root: Path) -> str | None:
    said = _text(root / "proc/driver/nvidia/version") or _text(root / "sys/module/nvidia/version")
    found = re.search(VERSION, said)
    return found[0] if found else None


def _installed(root: Path) -> tuple[str, ...]:
    """The file that `libnvidia-ml.so.1` leads to is named after its version; that of WSL is not, and has no module."""
    found = []
    for folder in LIBRARY_FOLDERS:
        link = root / folder / "libnvidia-ml.so.1"
        if link.exists():
            name = re.search(VERSION, link.resolve().name)
            found += [name[0]] if name else []
    return tuple(dict.fromkeys(found))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
