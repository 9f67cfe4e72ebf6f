from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.state import StackFolder, locked, stack_names, valid_name, write_whole


@pytest.mark.parametrize("name", ["default", "team-search", "a1"])
def test_good_names(name: str) -> None:
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "A", "a_b", "a/b", "../x", "é", "a" * 41, "a b"])
def test_bad_names_are_usage_errors(name: str) -> None:
    with pytest.raises(OrchestratorError) as refused:
        StackFolder(name)
    assert refused.value.exit_code == 2


def test_write_whole_sets_the_mode_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secret"
    write_whole(path, "a", mode=0o600)
    write_whole(path, "b", mode=0o600)
    assert path.read_text() == "b"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secret"]


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    write_whole(path, "old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def _hold(root: Path, seconds: float) -> None:
    with locked(StackFolder("shared", root), "up", wait_s=0):
        time.sleep(seconds)


def _start_holder(root: Path, seconds: float) -> multiprocessing.Process:
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(root, seconds))
    holder.start()
    note = StackFolder("shared", root).lock_file.with_suffix(".holder")
    deadline = time.monotonic() + 20
    while not note.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return holder


def test_the_second_writer_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    holder = _start_holder(tmp_path, 30)
    try:
        with (
            pytest.raises(OrchestratorError) as refused,
            locked(StackFolder("shared", tmp_path), "down", wait_s=0),
        ):
            pass
        assert refused.value.code == "locked"
        assert f"`orchestrator up` (pid {holder.pid})" in refused.value.message
    finally:
        holder.kill()
        holder.join()


def test_the_second_writer_waits_and_is_told_for_whom(tmp_path: Path) -> None:
    holder = _start_holder(tmp_path, 0.5)
    told: list[str] = []
    with locked(StackFolder("shared", tmp_path), "down", wait_s=20, waiting=told.append):
        assert told == [f"`orchestrator up` (pid {holder.pid})"]
    holder.join()


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    holder = _start_holder(tmp_path, 30)
    assert holder.pid
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with locked(StackFolder("shared", tmp_path), "up", wait_s=0):
        pass


def test_stack_names_are_those_with_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    assert stack_names() == []
    write_whole(StackFolder("b").plan_file, "{}")
    write_whole(StackFolder("a").plan_file, "{}")
    StackFolder("empty").path.mkdir(parents=True)
    assert stack_names() == ["a", "b"]
