"""The envelope is a contract: scripts key on it."""

from __future__ import annotations

import msgspec

from orchestrator.errors import EXIT_USAGE, OrchestratorError, usage_error
from orchestrator.result import Finding, Remedy, Result, envelope, failed


def test_the_envelope_has_exactly_these_keys() -> None:
    assert list(envelope(Result(command="status"))) == [
        "schema",
        "command",
        "ok",
        "exit_code",
        "data",
        "findings",
        "error",
    ]


def test_a_finding_has_exactly_these_keys() -> None:
    finding = Finding(id="a.b", verdict="fail", question="is it?", remedy=Remedy(text="do", commands=("x",)))
    shown = envelope(Result(command="verify", findings=(finding,), exit_code=1))["findings"][0]
    assert list(shown) == ["id", "verdict", "question", "evidence", "reason", "remedy", "docs"]
    assert shown["remedy"] == {"text": "do", "commands": ("x",)}


def test_ok_and_exit_code_agree() -> None:
    assert envelope(Result(command="up"))["ok"] is True
    assert envelope(Result(command="up", exit_code=1))["ok"] is False


def test_an_error_keeps_data_and_findings() -> None:
    finding = Finding(id="a.b", verdict="fail", question="is it?")
    error = OrchestratorError("no_plan", "nothing fits", remedy="buy", data={"rejected": []}, findings=(finding,))
    shown = envelope(failed("up", error))
    assert shown["exit_code"] == 1
    assert shown["data"] == {"rejected": []}
    assert shown["findings"][0]["id"] == "a.b"
    assert shown["error"] == {"code": "no_plan", "message": "nothing fits", "remedy": "buy", "evidence": ""}


def test_bad_input_names_field_value_and_remedy() -> None:
    error = usage_error("--port", "webui=0", "is not a port", "choose 1 to 65535")
    assert error.exit_code == EXIT_USAGE
    assert error.message == "--port: is not a port (got 'webui=0')"
    assert error.remedy


def test_the_envelope_is_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(envelope(Result(command="up", data={"a": (1, 2)}))))["data"] == {
        "a": [1, 2]
    }


def test_a_remedy_names_the_stack_that_it_is_for() -> None:
    remedy = Remedy(
        text="then `orchestrator wire`", commands=("orchestrator up --replan", "orchestrator logs --stack x")
    )
    assert remedy.for_stack("default") == remedy
    assert remedy.for_stack("team").text == "then `orchestrator wire --stack team`"
    assert remedy.for_stack("team").commands == ("orchestrator up --stack team --replan", "orchestrator logs --stack x")
