"""A run on disk comes back as it was; anything else is refused with words."""

import dataclasses
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from orchestrator.bench.records import Endpoint, Goal, Limits, MeasuredPeak, Run, Sweep, Wrong
from orchestrator.bench.store import is_sweep, new_run_folder, read_run, read_sweep, write_run, write_sweep
from orchestrator.errors import OrchestratorError
from tests.bench.runs import closed_loop, run_of, series_of


def assert_same(one: Run, other: Run) -> None:
    for field in dataclasses.fields(Run):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if field.name == "requests":
            for column in dataclasses.fields(left):
                a, b = getattr(left, column.name), getattr(right, column.name)
                assert a.dtype == b.dtype, column.name
                assert np.array_equal(a, b), column.name
        elif field.name == "telemetry":
            assert [(s.name, s.unit) for s in left] == [(s.name, s.unit) for s in right]
            assert all(
                np.array_equal(a.time_s, b.time_s) and np.array_equal(a.value, b.value)
                for a, b in zip(left, right, strict=True)
            )
        else:
            assert left == right, field.name


@pytest.fixture
def run() -> Run:
    return run_of(
        closed_loop(3),
        telemetry=(series_of("gpu.power", "W", 120.5), series_of("server.cpu", "cores", 1.25)),
        wrongs=(Wrong(kind="norm", count=2, example="norm 0.5 in request 7"),),
        fingerprint={"gpu.name": "NVIDIA GeForce RTX 3060", "cores": 16},
        goal=Goal(docs_per_s=800, p95_ms=250),
        limits=Limits(peak_tflops=25.5, measured=MeasuredPeak(tflops=23.1, dtype="bfloat16", basis="torch")),
        notes=("the server does not tell its tokens",),
    )


def test_a_run_comes_back_equal(tmp_path, run):
    write_run(run, tmp_path)
    assert_same(read_run(tmp_path), run)
    assert_same(read_run(tmp_path / "run.json"), run)


def test_the_key_is_never_written(tmp_path):
    write_run(run_of(endpoint=Endpoint(url="http://h", model="m", key="sk-secret")), tmp_path)
    assert not [file for file in tmp_path.iterdir() if b"sk-secret" in file.read_bytes()]
    assert read_run(tmp_path).endpoint.key == ""


def test_requests_take_little_room(tmp_path):
    run = run_of(closed_loop(5, concurrency=64))
    write_run(run, tmp_path)
    assert (tmp_path / "requests.npz").stat().st_size / len(run.requests.done_s) < 30


def test_a_sweep_comes_back_point_by_point(tmp_path, run):
    sweep = Sweep(points=(run, run_of()), started_at="2026-11-28T12:00:00Z")
    write_sweep(sweep, tmp_path)
    assert is_sweep(tmp_path)
    back = read_sweep(tmp_path)
    for one, other in zip(back.points, sweep.points, strict=True):
        assert_same(one, other)


def test_folders_of_the_same_second_do_not_meet(tmp_path):
    now = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    first, second = new_run_folder(tmp_path, now), new_run_folder(tmp_path, now)
    assert first == tmp_path / "bench" / "20261128T120000Z"
    assert second.name == "20261128T120000Z-1"


def cut(folder):
    file = folder / "requests.npz"
    file.write_bytes(file.read_bytes()[:-100])


def foreign_schema(folder):
    (folder / "run.json").write_text('{"schema": "vegeta/1"}')


def lacking_field(folder):
    told = json.loads((folder / "run.json").read_text())
    del told["client"]
    (folder / "run.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "is not the file that run.json was written with"),
        (lambda folder: (folder / "requests.npz").unlink(), "no readable requests.npz"),
        (lambda folder: (folder / "run.json").unlink(), "no readable run.json"),
        (lambda folder: (folder / "run.json").write_text("[1]"), "no JSON object"),
        (lambda folder: (folder / "run.json").write_text("{"), "no JSON object"),
        (foreign_schema, "'vegeta/1'"),
        (lacking_field, "client"),
    ],
)
def test_a_damaged_or_foreign_folder_says_what_is_wrong(tmp_path, run, damage, said):
    write_run(run, tmp_path)
    damage(tmp_path)
    with pytest.raises(OrchestratorError, match="not a whole run") as refused:
        read_run(tmp_path)
    assert refused.value.code == "run_unreadable"
    assert said in refused.value.message


def test_a_sweep_cannot_point_out_of_its_folder(tmp_path):
    (tmp_path / "sweep.json").write_text(
        '{"schema": "orchestrator/bench-sweep/v1", "started_at": "", "points": ["../../etc"]}'
    )
    with pytest.raises(OrchestratorError, match="names no folders beside it"):
        read_sweep(tmp_path)
