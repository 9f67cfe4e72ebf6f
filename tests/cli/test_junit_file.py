from xml.etree import ElementTree

import pytest

from orchestrator.cli.junit_file import junit_of_failure, write_junit
from orchestrator.errors import OrchestratorError
from orchestrator.result import Finding

WELL = Finding(id="a", verdict="pass", question="Is it?", evidence="it is")
ILL = Finding(id="b", verdict="fail", question="Is it?", evidence="41", reason="it is not")


def failures_in(path):
    return [
        case.get("classname") for case in ElementTree.parse(path).iter("testcase") if case.find("failure") is not None
    ]


def ended_in(error, path):
    with pytest.raises(OrchestratorError), junit_of_failure(path, "up"):
        raise error


def test_findings_are_written_and_nothing_without_a_file(tmp_path):
    write_junit(None, "up", [ILL])
    write_junit(tmp_path / "up.xml", "up", [WELL, ILL])
    assert failures_in(tmp_path / "up.xml") == ["up.b"]
    assert [path.name for path in tmp_path.iterdir()] == ["up.xml"]


def test_an_error_with_findings_is_those_findings(tmp_path):
    ended_in(OrchestratorError("verification_failed", "not right", findings=(WELL, ILL)), tmp_path / "up.xml")
    assert failures_in(tmp_path / "up.xml") == ["up.b"]


def test_an_error_of_another_kind_is_a_case_of_its_own(tmp_path):
    ended_in(OrchestratorError("start_failed", "vllm exited", evidence="a log", findings=(WELL,)), tmp_path / "up.xml")
    assert failures_in(tmp_path / "up.xml") == ["up.end"]
    assert "a log" in (tmp_path / "up.xml").read_text()


def test_a_place_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OrchestratorError) as caught:
        write_junit(tmp_path / "file" / "up.xml", "up", [WELL])
    assert caught.value.code == "not_written"
    assert "--junit" in caught.value.message
