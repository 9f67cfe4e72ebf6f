"""The machine: cores, memory and the limit that really binds, disks, what it runs inside of."""

from __future__ import annotations

import math
import os
import platform
import re
from pathlib import Path

from orchestrator.facts.records import DiskSpace, HostFacts

CGROUP_V1_UNLIMITED = 2**60
"""cgroup v1 writes PAGE_COUNTER_MAX (about 2^63) for "no limit"."""


def read_host(folders: tuple[Path, ...] = (), root: Path = Path("/")) -> HostFacts:
    """Reads files under `root` (a test gives its own). Never raises: what is missing is what Python knows."""
    meminfo = _meminfo(root / "proc/meminfo")
    limit, used = cgroup_memory(root)
    total = meminfo.get("MemTotal") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    binding = limit is not None and limit < total
    cores = usable_cores(root)
    node_total, node_available = _memory_node(root)
    return HostFacts(
        system=platform.system(),
        architecture=platform.machine(),
        kernel=platform.release(),
        distribution=_distribution(root),
        cores=cores,
        physical_cores=min(_physical_cores(root) or cores, cores),
        memory_total_bytes=total,
        memory_available_bytes=meminfo.get("MemAvailable", total),
        node_total_bytes=node_total,
        node_available_bytes=node_available,
        cgroup_limit_bytes=limit if binding else None,
        cgroup_used_bytes=used if binding else None,
        wsl="microsoft" in platform.release().lower() or "WSL_DISTRO_NAME" in os.environ,
        container=_container(root),
        disk=tuple(space for folder in folders if (space := disk_space(folder)) is not None),
    )


def _meminfo(path: Path) -> dict[str, int]:
    """`Key: 123 kB` lines (also `Node 0 Key: 123 kB`) as bytes."""
    found = re.findall(r"^(?:Node \d+ )?(\S+):\s+(\d+) kB", _text(path), re.MULTILINE)
    return {key: int(value) * 1024 for key, value in found}


def _memory_node(root: Path) -> tuple[int | None, int | None]:
    """Total and available bytes of the node of the first allowed core, as vLLM 0.32.0 counts them.

    vllm/utils/cpu_resource_utils.py: available = MemFree + Active(file) + Inactive(file) + SReclaimable.
    """
    nodes = root / "sys/devices/system/node"
    first_core = min(os.sched_getaffinity(0), default=0)
    candidates = sorted(nodes.glob(f"node*/cpu{first_core}")) or sorted(nodes.glob("node0/meminfo"))
    if not candidates:
        return None, None
    node = _meminfo(candidates[0].parent / "meminfo")
    if "MemTotal" not in node:
        return None, None
    parts = ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable")
    return node["MemTotal"], sum(node.get(part, 0) for part in parts)


def cgroup_memory(root: Path = Path("/")) -> tuple[int | None, int | None]:
    """(limit, used) of the tightest memory cgroup above this process, v2 or v1; (None, None) without a limit.

    A limit may stand on any ancestor, and inside a container the own path may be the mount's root: both are looked at.
    """
    best: tuple[int | None, int | None] = (None, None)
    for folder, limit_file, used_file in _cgroup_folders(root, "memory"):
        limit = _number(folder / limit_file)
        if limit is None or limit >= CGROUP_V1_UNLIMITED:
            continue
        if best[0] is None or limit < best[0]:
            best = (limit, _used(folder, used_file))
    return best


def _used(folder: Path, used_file: str) -> int | None:
    """Use without the page cache that the kernel gives back under pressure."""
    used = _number(folder / used_file)
    if used is None:
        return None
    statistics = dict(re.findall(r"^(\S+) (\d+)$", _text(folder / "memory.stat"), re.MULTILINE))
    cache = int(statistics.get("total_inactive_file") or statistics.get("inactive_file") or 0)
    return max(used - cache, 0)


def _cgroup_folders(root: Path, controller: str) -> list[tuple[Path, str, str]]:
    base = root / "sys/fs/cgroup"
    folders: list[tuple[Path, str, str]] = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            folders += [(folder, "memory.max", "memory.current") for folder in _upwards(base, path)]
        elif controller in controllers.split(","):
            mount = base / controller
            folders += [(folder, "memory.limit_in_bytes", "memory.usage_in_bytes") for folder in _upwards(mount, path)]
    return folders


def _upwards(mount: Path, path: str) -> list[Path]:
    parts = [part for part in path.split("/") if part and part != ".."]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that the affinity and the tightest cgroup quota leave; at least one."""
    cores = len(os.sched_getaffinity(0))
    quotas = [_quota_v2(folder) for folder, kind, _ in _cgroup_folders(root, "memory") if kind == "memory.max"]
    quotas += [_quota_v1(folder) for folder, _, _ in _cgroup_folders(root, "cpu")]
    limits = [math.ceil(quota) for quota in quotas if quota is not None]
    return max(min([cores, *limits]), 1)


def _quota_v2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota is not None and quota > 0 and period else None


def _physical_cores(root: Path) -> int | None:
    """Distinct (socket, core) pairs among the allowed cores; None where the kernel does not tell (ARM)."""
    allowed = {str(core) for core in os.sched_getaffinity(0)}
    pairs = set()
    for block in _text(root / "proc/cpuinfo").split("\n\n"):
        fields = dict(re.findall(r"^(processor|physical id|core id)\s*:\s*(\S+)", block, re.MULTILINE))
        if fields.get("processor") in allowed and "core id" in fields:
            pairs.add((fields.get("physical id"), fields["core id"]))
    return len(pairs) or None


def processor_flags(root: Path = Path("/")) -> frozenset[str]:
    """What an x86 processor can do (avx2, avx512f, ...); empty where the kernel does not list it so (ARM)."""
    found = re.search(r"^flags\s*:\s*(.*)$", _text(root / "proc/cpuinfo"), re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def _distribution(root: Path) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]*)"?', _text(root / "etc/os-release"), re.MULTILINE)
    return match[1] if match else "unknown"


def _container(root: Path) -> str | None:
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    # systemd and podman write this variable in small letters.
    return os.environ.get("container") or ("docker" if "/docker/" in _text(root / "proc/self/cgroup") else None)  # noqa: SIM112


def disk_space(folder: Path) -> DiskSpace | None:
    """Free space where `folder` is or will be made."""
    existing = folder
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        stat = os.statvfs(existing)
    except OSError:  # also a folder that this user may not look into (another user's rootless engine)
        return None
    return DiskSpace(
        path=str(folder), free_bytes=stat.f_bavail * stat.f_frsize, total_bytes=stat.f_blocks * stat.f_frsize
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None
