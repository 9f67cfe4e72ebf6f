"""CDI specifications: the files that tell an engine what to hand to a container for `nvidia.com/gpu=...`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

FOLDERS = ("etc/cdi", "var/run/cdi")
"""Where engines look, and where nvidia-ctk and its refresh service write."""
NVIDIA = "nvidia.com/gpu"
VERSIONED = re.compile(r"\.so\.(\d{3}\.\d+(?:\.\d+)?)$")


class CdiSpecification(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    devices: tuple[str, ...] = ()
    """The names after `nvidia.com/gpu=`: 0, all, uuids."""
    driver_versions: tuple[str, ...] = ()
    """In the names of the driver's files that it mounts."""
    missing: tuple[str, ...] = ()
    """Files that it mounts and that are not there (any more)."""
    error: str = ""


def read_cdi(root: Path = Path("/")) -> tuple[CdiSpecification, ...]:
    """Those for NVIDIA's cards. A file that cannot be read is told as such."""
    files = [
        path for folder in FOLDERS for kind in ("yaml", "yml", "json") for path in (root / folder).glob(f"*.{kind}")
    ]
    found = (_specification(path, root) for path in sorted(files))
    return tuple(specification for specification in found if specification is not None)


def _specification(path: Path, root: Path) -> CdiSpecification | None:
    try:
        content = _yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # Another vendor's file is none of ours, and this one does not say whose it is: its name does.
        return CdiSpecification(path=str(path), error=str(error)) if "nvidia" in path.name else None
    if not isinstance(content, dict) or content.get("kind") != NVIDIA:
        return None
    devices = [device for device in content.get("devices") or [] if isinstance(device, dict)]
    edits = [content.get("containerEdits") or {}, *(device.get("containerEdits") or {} for device in devices)]
    mounts = [str(mount.get("hostPath")) for edit in edits for mount in edit.get("mounts") or []]
    versions = (match[1] for mount in mounts if (match := VERSIONED.search(mount)))
    return CdiSpecification(
        path=str(path),
        devices=tuple(str(device.get("name")) for device in devices),
        driver_versions=tuple(dict.fromkeys(versions)),
        missing=tuple(dict.fromkeys(mount for mount in mounts if not (root / mount.lstrip("/")).exists())),
    )


def _yaml(text: str) -> Any:
    """JSON is YAML too. The C parser reads the 100 KB that a machine with many cards has in milliseconds."""
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from error
