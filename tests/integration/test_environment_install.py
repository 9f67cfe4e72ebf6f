"""Locked environments installed with the real pip, from a stand-in for a package index on 127.0.0.1."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator.engines import environments, wheelhouse
from orchestrator.engines.environments import MARKER, install_lock
from orchestrator.engines.locks import Lock
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Silent
from orchestrator.waiting import wait_until
from tests.standins.package_index import PackageIndex, lock_of_wheels, make_wheel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

INSTALL = """
import sys, msgspec
from pathlib import Path
from orchestrator.engines import environments, wheelhouse
from orchestrator.engines.locks import Lock
from orchestrator.progress import Silent
wheelhouse.WORKERS, wheelhouse.BATCH = 1, 1
lock = msgspec.json.decode(sys.argv[1], type=Lock)
environments.install_lock(lock, Path(sys.argv[2]), Silent())
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """The user's own pip configuration names it, and nothing else."""
    folder = tmp_path / "index"
    folder.mkdir()
    server = PackageIndex(folder)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    yield server
    server.shutdown()
    server.server_close()


def start_install(lock: Lock, root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", INSTALL, msgspec.json.encode(lock).decode(), str(root)])


def says(folder: Path, program: str) -> str:
    return subprocess.run([folder / "bin" / program], capture_output=True, text=True, check=True).stdout.strip()


def test_installs_once_and_cleans_up(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha"), make_wheel(index.folder, "beta")])
    folder = install_lock(lock, tmp_path / "root", Silent())
    assert (says(folder, "alpha"), says(folder, "beta")) == ("alpha 1.0", "beta 1.0")
    assert json.loads((folder / MARKER).read_text())["packages"] == 2
    assert [path.name for path in (tmp_path / "root").iterdir() if path.is_dir()] == [folder.name]
    monkeypatch.setattr(environments, "_install", lambda *_: pytest.fail("installed twice"))
    assert install_lock(lock, tmp_path / "root", Silent()) == folder


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path, index: PackageIndex) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha")])
    make_wheel(index.folder, "alpha", files=2)
    with pytest.raises(OrchestratorError) as refused:
        install_lock(lock, tmp_path / "root", Silent())
    assert refused.value.code == "hash_mismatch"
    assert "alpha" in refused.value.evidence
    assert not (tmp_path / "root" / lock.key / MARKER).exists()


def test_an_index_that_is_not_there(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha")])
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("PIP_RETRIES", "1")  # without one pip says only that it found nothing
    with pytest.raises(OrchestratorError) as refused:
        install_lock(lock, tmp_path / "root", Silent())
    assert refused.value.code == "network"
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    assert says(install_lock(lock, tmp_path / "root", Silent()), "alpha") == "alpha 1.0"


def test_a_disk_that_is_full(tmp_path: Path, index: PackageIndex) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha", ballast_bytes=90_000_000)])
    root = tmp_path / "root"
    root.mkdir()
    size = "size=60m"  # enough for the empty environment, too little for the wheel's 90 MB
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", root], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("may not mount a small file system here")
    try:
        with pytest.raises(OrchestratorError) as refused:
            install_lock(lock, root, Silent())
    finally:
        subprocess.run(["umount", "-l", root], check=True)
    assert refused.value.code == "disk_full"


def test_killed_while_downloading_goes_on_from_there(tmp_path: Path, index: PackageIndex) -> None:
    names = ["alpha", "beta", "gamma", "delta"]
    lock = lock_of_wheels([make_wheel(index.folder, name) for name in names])
    root, wheels = tmp_path / "root", tmp_path / "root" / f"{lock.key}.wheels"
    index.wheel_s = 1.0
    first = start_install(lock, root)
    wait_until(lambda: None if len(list(wheels.glob("*.whl"))) >= 2 else "not two wheels yet", 60)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = {path.name for path in wheels.glob("*.whl")}
    index.wheel_s, index.wheels_asked = 0.0, []
    folder = install_lock(lock, root, Silent())
    assert not kept & set(index.wheels_asked)
    assert [says(folder, name) for name in names] == [f"{name} 1.0" for name in names]


def test_killed_while_installing_starts_the_environment_anew(tmp_path: Path, index: PackageIndex) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha", files=6000), make_wheel(index.folder, "beta")])
    root = tmp_path / "root"
    folder = root / lock.key
    first = start_install(lock, root)
    wait_until(lambda: None if list(folder.glob("lib/*/site-packages/alpha/part_*")) else "not unpacking yet", 90)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert not (folder / MARKER).exists()
    index.wheels_asked = []
    install_lock(lock, root, Silent())
    assert index.wheels_asked == []
    assert len(list(folder.glob("lib/*/site-packages/alpha/part_*.py"))) == 5999
    assert says(folder, "beta") == "beta 1.0"


def test_two_stacks_at_once_install_once(tmp_path: Path, index: PackageIndex) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha")])
    index.wheel_s = 1.0
    both = [start_install(lock, tmp_path / "root") for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert len(index.wheels_asked) == 1
    assert says(tmp_path / "root" / lock.key, "alpha") == "alpha 1.0"


def test_a_wheel_that_only_its_project_has(tmp_path: Path, index: PackageIndex) -> None:
    """As torch's +cpu build: not on the index, so the page that the pin names is asked, and only for that."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    special, ordinary = make_wheel(elsewhere, "torchy", "2.0+cpu"), make_wheel(index.folder, "alpha")
    wheels = {"needs_wheel": "torchy-2.0+cpu-py3-none-any.whl"}
    with pytest.raises(OrchestratorError) as refused:
        install_lock(lock_of_wheels([special, ordinary], **wheels), tmp_path / "root", Silent())
    assert refused.value.code == "package_not_found"
    assert "PIP_FIND_LINKS" in refused.value.remedy
    page = PackageIndex(elsewhere)
    lock = lock_of_wheels([special, ordinary], **wheels, extra_index_url=page.url)
    assert says(install_lock(lock, tmp_path / "root", Silent()), "torchy") == "torchy 2.0+cpu"
    assert page.wheels_asked == [special.name]
    page.shutdown()
    page.server_close()


def test_the_user_s_own_pip_settings_do_not_move_the_install(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha")])
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    assert says(install_lock(lock, tmp_path / "root", Silent()), "alpha") == "alpha 1.0"


def test_wheels_are_kept_for_a_host_without_a_network(
    tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = lock_of_wheels([make_wheel(index.folder, "alpha")])
    monkeypatch.setenv(environments.KEEP_WHEELS_VARIABLE, "1")
    began = time.monotonic()
    install_lock(lock, tmp_path / "first", Silent())
    kept = tmp_path / "first" / f"{lock.key}.wheels"
    assert wheelhouse.missing_from(kept, lock) == []
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(kept))
    monkeypatch.delenv("PIP_INDEX_URL")
    install_lock(lock, tmp_path / "second", Silent())
    assert time.monotonic() - began < 110
