import os
from pathlib import Path

import pytest

from orchestrator.facts.host import cgroup_memory, disk_space, read_host, usable_cores

MEMINFO = "MemTotal:       24684096 kB\nMemFree:        19332432 kB\nMemAvailable:   22944908 kB\n"
NODE = (
    "Node 0 MemTotal:       10578136 kB\nNode 0 MemFree:         5226524 kB\nNode 0 Active(file):    1333216 kB\n"
    "Node 0 Inactive(file):  2214868 kB\nNode 0 SReclaimable:     100000 kB\n"
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_memory_and_its_node(tmp_path):
    core = min(os.sched_getaffinity(0))
    node = "sys/devices/system/node/node0"
    host = read_host(
        root=write(tmp_path, {"proc/meminfo": MEMINFO, f"{node}/meminfo": NODE, f"{node}/cpu{core}/x": ""})
    )
    assert host.memory_total_bytes == 24684096 * 1024
    assert host.memory_available_bytes == 22944908 * 1024
    assert host.node_total_bytes == 10578136 * 1024
    assert host.node_available_bytes == (5226524 + 1333216 + 2214868 + 100000) * 1024
    assert host.cgroup_limit_bytes is None


def test_cgroup_v2_takes_the_tightest_ancestor_and_gives_cache_back(tmp_path):
    base = "sys/fs/cgroup"
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/slice/job\n",
            f"{base}/memory.max": "max",
            f"{base}/slice/memory.max": str(4 * 2**30),
            f"{base}/slice/memory.current": str(3 * 2**30),
            f"{base}/slice/memory.stat": f"anon 1\ninactive_file {2**30}\n",
            f"{base}/slice/job/memory.max": str(8 * 2**30),
            f"{base}/slice/job/memory.current": "1",
        },
    )
    assert cgroup_memory(root) == (4 * 2**30, 2 * 2**30)
    assert read_host(root=root).cgroup_limit_bytes == 4 * 2**30


def test_cgroup_v1_with_its_word_for_no_limit(tmp_path):
    base = "sys/fs/cgroup/memory"
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/job\n0::/\n",
            f"{base}/memory.limit_in_bytes": "9223372036854771712",
            f"{base}/job/memory.limit_in_bytes": str(2**31),
            f"{base}/job/memory.usage_in_bytes": str(2**30),
        },
    )
    assert cgroup_memory(root) == (2**31, 2**30)


def test_no_cgroup_is_no_limit(tmp_path):
    assert cgroup_memory(tmp_path) == (None, None)


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", None), ("50000 100000", 1), ("150000 100000", 2)])
def test_cores_under_a_quota(tmp_path, quota, cores):
    root = write(tmp_path, {"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/cpu.max": quota})
    everything = len(os.sched_getaffinity(0))
    assert usable_cores(root) == min(everything, cores or everything)


def test_container_marks(tmp_path, monkeypatch):
    monkeypatch.delenv("container", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert read_host(root=tmp_path).container is None
    assert read_host(root=write(tmp_path, {"run/.containerenv": ""})).container == "podman"


def test_disk_of_a_folder_that_is_still_to_be_made(tmp_path):
    space = disk_space(tmp_path / "not" / "yet")
    assert space.free_bytes > 0
    assert space.path.endswith("not/yet")


def test_this_machine():
    host = read_host((Path("/"),))
    assert 1 <= host.physical_cores <= host.cores
    assert 0 < host.memory_available_bytes <= host.memory_total_bytes
