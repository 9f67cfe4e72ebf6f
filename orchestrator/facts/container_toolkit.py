"""NVIDIA's container toolkit: which one is installed, and how it is set."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec

PROGRAM = "nvidia-ctk"
HOOK = "nvidia-container-runtime-hook"
CONFIGURATION = "etc/nvidia-container-runtime/config.toml"
NVIDIA_DEVICES = "195:*"
"""Character devices of NVIDIA's major number (Documentation/admin-guide/devices.txt)."""
ANSWER_S = 3.0


class Toolkit(msgspec.Struct, frozen=True, kw_only=True):
    path: str | None
    version: str | None = None
    hook: bool = False
    """Its hook is on the PATH: with it an engine hands over cards without CDI."""


class CgroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    no_cgroups: bool
    device_links: int
    """Links under /dev/char to the cards' device nodes: by them systemd keeps a container's right to use them."""


def read_toolkit() -> Toolkit:
    path = shutil.which(PROGRAM)
    hook = shutil.which(HOOK) is not None
    if path is None:
        return Toolkit(path=None, hook=hook)
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Toolkit(path=path, hook=hook)
    found = re.search(r"version (\d+\.\d+\.\d+)", done.stdout)
    return Toolkit(path=path, version=found[1] if found else None, hook=hook)


def read_cgroup_settings(root: Path = Path("/")) -> CgroupSettings:
    try:
        configuration = tomllib.loads((root / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        configuration = {}
    section = configuration.get("nvidia-container-cli", {})
    return CgroupSettings(
        no_cgroups=section.get("no-cgroups") is True,
        device_links=len(list((root / "dev/char").glob(NVIDIA_DEVICES))),
    )
