"""`bench report` as a user calls it."""

import json
from xml.etree import ElementTree

import pytest

from orchestrator.bench.records import Goal, Sweep
from orchestrator.bench.store import write_run, write_sweep
from orchestrator.cli.bench_report import command
from orchestrator.errors import OrchestratorError
from tests.bench.runs import run_of


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    folder = tmp_path / "stacks" / "default" / "bench" / "20261128T120000Z"
    write_run(run_of(goal=Goal(docs_per_s=800)), folder)
    return folder


def call(*arguments):
    return command.main([str(argument) for argument in arguments], standalone_mode=False)


def test_shows_the_newest_run_of_the_stack(run_folder, capsys):
    assert call() == 0
    assert "1,600 documents/s of 32 tokens" in " ".join(capsys.readouterr().out.split())


def test_judges_by_another_target(run_folder, capsys):
    assert call(run_folder, "--target", 2000, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["command"], told["ok"], told["data"]["verdict"]["word"]) == ("bench", False, "missed")


def test_writes_the_page_beside_the_run(run_folder, capsys):
    assert call(run_folder, "--format", "html") == 0
    assert (run_folder / "report.html").read_text().startswith("<!doctype html>")
    assert "report.html" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "begins"), [("csv", "intended_s,"), ("markdown", "## ✓"), ("junit", "<?xml")])
def test_other_formats_go_to_stdout_alone(run_folder, capsys, form, begins):
    assert call(run_folder, "--format", form) == 0
    assert capsys.readouterr().out.startswith(begins)


def test_junit_to_a_file_for_ci(run_folder, tmp_path):
    out = tmp_path / "bench.xml"
    assert call(run_folder, "--format", "junit", "--out", out, "--target", 2000) == 1
    assert ElementTree.parse(out).getroot().attrib["failures"] == "1"


def test_a_sweep_shows_its_points_and_its_best(run_folder, tmp_path, capsys):
    folder = tmp_path / "sweep"
    write_sweep(Sweep(points=(run_of(), run_of()), started_at=""), folder)
    assert call(folder, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["data"]["points"]) == 2
    assert call(folder) == 0
    with pytest.raises(OrchestratorError, match="no one table"):
        call(folder, "--format", "csv")


def test_refuses_what_makes_no_sense(run_folder, tmp_path):
    with pytest.raises(OrchestratorError, match="says where, but not what"):
        call(run_folder, "--out", tmp_path / "x")
    with pytest.raises(OrchestratorError, match="nothing was measured yet"):
        call("--stack", "other")
