"""What a loan is made of; tests/integration/test_run_command.py lends real stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.operations import lending
from orchestrator.operations.lending import TEMPORARY_PORTS, Loan, lent, loan_of
from orchestrator.operations.request import Asked
from orchestrator.operations.run import check_command
from orchestrator.progress import Silent


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loan(preset: str | None = None, environment: dict[str, str] | None = None, **flags: object) -> Loan:
    return loan_of(Asked(flags=flags, preset=preset, environment=environment or {}))


def test_a_stack_that_nobody_names_has_a_name_and_ports_of_its_own() -> None:
    one, other = loan(), loan()
    assert one.temporary
    assert one.request.spec.stack != other.request.spec.stack
    ports = one.request.spec.ports
    assert set(ports) == {"embeddings", "vectors", "webui"}
    assert len(set(ports.values())) == 3
    assert all(port in TEMPORARY_PORTS for port in ports.values())


def test_a_port_that_was_asked_for_stays() -> None:
    ports = loan(**{"ports.webui": 3999}).request.spec.ports
    assert ports["webui"] == 3999
    assert ports["vectors"] in TEMPORARY_PORTS


@pytest.mark.parametrize("by", ["flag", "variable", "file"])
def test_a_named_stack_is_that_stack(here: Path, by: str) -> None:
    if by == "file":
        (here / "orchestrator.yaml").write_text("stack: team\n")
    named = loan(
        environment={"ORCHESTRATOR_STACK_NAME": "team"} if by == "variable" else {},
        **({"stack": "team"} if by == "flag" else {}),
    )
    assert not named.temporary
    assert (named.request.spec.stack, named.request.spec.ports["webui"]) == ("team", 3000)


def ends(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> list[str]:
    """Stacks that were taken down after `up` ended with this."""
    stopped: list[str] = []

    def up(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(lending, "up", up)
    monkeypatch.setattr(lending, "down", lambda name, *_a, **_k: stopped.append(name))
    with pytest.raises(type(error)), lent(loan(stack="team"), Silent(), lambda _decided: None):
        pytest.fail("nothing was lent")
    return stopped


def test_an_interrupted_start_is_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, KeyboardInterrupt()) == ["team"]


def test_a_failed_start_is_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, OrchestratorError("start_failed", "it exited")) == ["team"]


def test_a_stack_that_another_command_works_on_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ends(monkeypatch, OrchestratorError("locked", "`orchestrator up` holds the lock")) == []


@pytest.mark.parametrize("command", [[], ["no-such-program-anywhere"]])
def test_a_command_that_cannot_run_is_refused_first(command: list[str]) -> None:
    with pytest.raises(OrchestratorError) as refused:
        check_command(command)
    assert refused.value.exit_code == 2
    assert "CMD" in refused.value.message
