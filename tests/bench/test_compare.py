"""Better, same, worse, or an honest "cannot tell"; unlike things are not compared."""

import io
import json
import math
from contextlib import suppress
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from rich.console import Console

from orchestrator.bench.compare import compare, regression_of
from orchestrator.bench.records import Load, Sweep
from orchestrator.bench.report.comparison import comparison_text, ruler
from orchestrator.bench.store import write_run, write_sweep
from orchestrator.cli.bench_compare import command
from orchestrator.errors import OrchestratorError
from orchestrator.operations.bench import BenchRequest
from orchestrator.operations.bench_compare import Terms, read_runs
from orchestrator.operations.bench_compare_live import LiveRequest, compare_live
from orchestrator.progress import Silent
from tests.bench.runs import CLIENT, closed_loop, requests_of, run_of
from tests.standins.misbehaving import Misbehaving


def measured(seed, speed=1.0, **changes):
    """Eight clients against a server of this relative speed: 640 documents/s at 1.0."""
    return run_of(closed_loop(seed, mean_s=0.4 / speed), **changes)


def several(count, speed=1.0, between=0.0, seed=0):
    """Runs whose true speeds differ from each other, as on real machines."""
    draw = np.random.default_rng(seed)
    return [measured(1000 * seed + i, speed * (1 + draw.normal(0, between))) for i in range(count)]


@pytest.mark.parametrize(
    ("speed", "word"), [(1.3, "better"), (0.75, "worse"), (1.0, "cannot_tell")], ids=["faster", "slower", "alike"]
)
def test_one_run_a_side(speed, word):
    comparison = compare([measured(1)], [measured(2, speed)])
    assert comparison.word == word
    assert comparison.low < comparison.ratio < comparison.high
    assert "one run a side" in comparison.notes[0]


def test_many_quiet_runs_show_that_two_are_the_same():
    times = np.arange(-3, 20, 0.02)

    def quiet(seed):
        return run_of(requests_of(times + np.random.default_rng(seed).uniform(0, 0.01, len(times)), 0.1))

    comparison = compare([quiet(i) for i in range(5)], [quiet(i + 50) for i in range(5)])
    assert comparison.word == "same"
    assert comparison.notes == ()


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_interval_covers_the_true_ratio(rounds):
    """With three percent between runs (none where there is one run a side: that cannot be seen)."""
    between = 0.03 if rounds > 1 else 0.0
    covered = 0
    for trial in range(40):
        a = several(rounds, 1.0, between, seed=2 * trial + 1)
        b = several(rounds, 1.1, between, seed=2 * trial + 2)
        comparison = compare(a, b)
        covered += comparison.low <= 1.1 <= comparison.high
    assert covered >= 34  # 38 expected; fewer than 34 happens by chance once in 100 times, and the seeds are fixed


def test_the_same_numbers_give_the_same_verdict():
    assert compare([measured(1)], [measured(2)]) == compare([measured(1)], [measured(2)])


def test_too_few_requests_cannot_tell():
    few = run_of(requests_of(np.arange(0, 20, 4.0), 0.5))
    comparison = compare([few], [measured(1)])
    assert comparison.word == "cannot_tell"
    assert "measure longer" in comparison.reason
    assert comparison.high == math.inf


@pytest.mark.parametrize(
    ("speed", "most", "regressed"), [(0.8, 0.05, True), (0.8, 0.4, False), (1.2, 0.05, False), (1.0, 0.0, False)]
)
def test_a_regression_must_be_sure_and_large(speed, most, regressed):
    comparison = compare([measured(1)], [measured(2, speed)])
    assert regression_of(comparison, most).regressed is regressed


def test_a_loss_within_the_noise_is_named_and_passes():
    comparison = compare([measured(1)], [measured(2)])
    slower = msgspec.structs.replace(comparison, ratio=0.93, low=0.85, high=1.02, word="cannot_tell")
    regression = regression_of(slower, 0.05)
    assert not regression.regressed
    assert "cannot tell that from chance" in regression.reason


def test_the_picture_fits_80_columns():
    comparison = compare([measured(1)], [measured(2, 1.3)])
    console = Console(width=80, color_system=None, file=io.StringIO())
    console.print(comparison_text(comparison, regression_of(comparison, 0.05)))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "no regression" in text
    line = ruler(comparison)
    assert line.index("●") > line.index("┼")


@pytest.fixture
def folders(tmp_path):
    def write(name, run):
        write_run(run, tmp_path / name)
        return str(tmp_path / name)

    return write


def call(*arguments):
    return command.main([str(argument) for argument in arguments], standalone_mode=False)


def test_compares_two_stored_runs(folders, capsys):
    a, b = folders("a", measured(1)), folders("b", measured(2, 1.3))
    assert call(a, b, "--json") == 0
    assert json.loads(capsys.readouterr().out)["data"]["comparison"]["word"] == "better"
    assert call(b, a) == 1
    assert capsys.readouterr().out.startswith("worse")


def test_ci_fails_on_a_regression_beyond_the_allowance(folders, tmp_path):
    a, b, out = folders("a", measured(1)), folders("b", measured(2, 0.8)), tmp_path / "compare.xml"
    assert call("--baseline", f"{a}/run.json", b, "--max-regression", "5%", "--junit", out) == 1
    assert ElementTree.parse(out).getroot().attrib["failures"] == "1"
    assert call("--baseline", a, b, "--max-regression", "40%") == 0


def test_repeated_runs_are_compared_together(tmp_path, capsys):
    for name, speed in (("a", 1.0), ("b", 1.4)):
        write_sweep(Sweep(points=tuple(several(3, speed, 0.01, seed=int(speed * 10))), started_at=""), tmp_path / name)
    assert call(tmp_path / "a", tmp_path / "b") == 0
    assert "(3 runs)" in capsys.readouterr().out


def test_a_sweep_is_no_repetition(tmp_path, folders):
    points = (measured(1), measured(2, load=Load(concurrency=4)))
    write_sweep(Sweep(points=points, started_at=""), tmp_path / "sweep")
    with pytest.raises(OrchestratorError, match=r"load\.concurrency: 8 against 4"):
        call(tmp_path / "sweep", folders("b", measured(3)))


def test_unlike_conditions_are_refused_by_name_unless_allowed_or_forced(folders, capsys):
    a = folders("a", measured(1, fingerprint={"gpu.driver": "580", "package.vllm": "0.32.0"}))
    b = folders("b", measured(2, 1.3, fingerprint={"gpu.driver": "570", "package.vllm": "0.33.0"}))
    with pytest.raises(OrchestratorError) as refused:
        call(a, b)
    assert refused.value.exit_code == 2
    assert "gpu.driver: '580' against '570'; package.vllm: '0.32.0' against '0.33.0'" in refused.value.message
    with pytest.raises(OrchestratorError, match=r"conditions: gpu\.driver: '580' against '570'$"):
        call(a, b, "--allow", "package")
    assert call(a, b, "--allow", "package", "--allow", "gpu.driver") == 0
    assert call(a, b, "--force") == 0
    assert "although they differ in gpu.driver" in " ".join(capsys.readouterr().out.split())


def test_a_run_that_is_no_result_is_not_compared(folders):
    slow_client = msgspec.structs.replace(CLIENT, valid=False, reason="lag 90 ms")
    a, b = folders("a", measured(1)), folders("b", measured(2, client=slow_client))
    with pytest.raises(OrchestratorError, match="lag 90 ms"):
        call(a, b)


def test_two_endpoints_are_measured_in_turns_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    load = Load(batch=4, concurrency=2, warmup_s=0.1, duration_s=1.0, workers=1, seed=5)
    with Misbehaving() as a, Misbehaving() as b:
        each = BenchRequest(load=load, model="stub", api="openai")
        with suppress(OrchestratorError):
            # On a busy machine the client finds that it could not keep up: then nothing is compared, but all is kept.
            compare_live(LiveRequest(a=a.url, b=b.url, each=each, rounds=1), Terms(), Silent())
    (folder,) = (tmp_path / "bench").iterdir()
    kept = {name: read_runs(folder / name) for name in ("a", "b")}
    assert [[run.endpoint.url for run in runs] for runs in kept.values()] == [[a.url], [b.url]]
    assert a.documents > 0
    assert b.documents > 0


def test_what_is_stored_is_not_measured_in_turns_with_what_is_not(folders):
    with pytest.raises(OrchestratorError, match="measured in turns"):
        call(folders("a", measured(1)), "stack:default")


@pytest.mark.parametrize("arguments", [[], ["--max-regression", "500%", "a"], ["a", "b", "c"]])
def test_bad_input_is_named(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    with pytest.raises(Exception) as refused:
        call(*arguments)
    assert "exactly two" in str(refused.value) or "is not a share" in str(refused.value)
