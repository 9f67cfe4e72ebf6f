"""`--json` prints exactly one object of exactly this form, whatever happens: scripts key on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from orchestrator.cli.main import COMMANDS, run


class Remedy(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    commands: list[str]


class Finding(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    verdict: Literal["pass", "warn", "fail", "skip", "error", "fixed"]
    question: str
    evidence: str
    reason: str
    remedy: Remedy
    docs: str


class Problem(msgspec.Struct, forbid_unknown_fields=True):
    code: str
    message: str
    remedy: str
    evidence: str


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    """No field has a default: each is always there."""

    schema: Literal["orchestrator/v1"]
    command: str
    ok: bool
    exit_code: Literal[0, 1, 2, 3, 130]
    data: dict[str, Any]
    findings: list[Finding]
    error: Problem | None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def answer(home: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    """`answer("doctor", "--pre")` → the envelope; all that stdout holds must be it."""

    def ask(*arguments: str) -> Envelope:
        code = run([*arguments, "--json"])
        envelope = msgspec.json.decode(capfdbinary.readouterr().out, type=Envelope)
        assert envelope.exit_code == code
        assert envelope.ok == (code == 0)
        assert (envelope.error is not None) >= (code in (2, 130))
        return envelope

    return ask


def well_formed(envelope: Envelope) -> None:
    """What a finding owes to whoever reads it."""
    for finding in envelope.findings:
        assert finding.question.endswith("?"), finding
        assert finding.docs == f"docs/checks.md#{finding.docs.partition('#')[2]}", finding
        if finding.verdict in ("pass", "fixed"):
            assert finding.evidence, finding
        else:
            assert finding.reason, finding
        if finding.verdict in ("warn", "fail", "error"):
            assert finding.remedy.text or finding.remedy.commands, finding


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--assume-sources"),
        ("plan", "--history"),
        ("doctor", "--list"),
        ("doctor", "--explain", "docker.daemon"),
        ("up", "--dry-run", "--engine", "native", "--model", "all-minilm-l6-v2"),
    ],
)
def test_what_succeeds(answer: Any, arguments: tuple[str, ...]) -> None:
    envelope = answer(*arguments)
    assert envelope.command == arguments[0]
    assert envelope.error is None
    assert envelope.data


@pytest.mark.parametrize("verb", ["status", "verify", "logs", "wire", "lock"])
def test_a_verb_without_its_stack(answer: Any, verb: str) -> None:
    envelope = answer(verb)
    assert (envelope.exit_code, envelope.error.code) == (1, "no_stack")
    assert envelope.error.remedy


@pytest.mark.parametrize("verb", [verb for verb in COMMANDS if verb != "completion"])
def test_a_wrong_option_on_every_verb(answer: Any, verb: str) -> None:
    envelope = answer(verb, "--no-such-option")
    assert (envelope.command, envelope.exit_code, envelope.error.code) == (verb, 2, "usage")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--only", "no.such.check"),
        ("--skip", "docker.daemon"),
        ("--reason", "why"),
        ("--wait", "soon"),
        ("--report", "report.rar"),
        ("--explain", "no.such.check"),
        ("--stack", "Bad Name"),
    ],
)
def test_what_doctor_cannot_understand(answer: Any, home: Path, arguments: tuple[str, ...]) -> None:
    envelope = answer("doctor", *arguments)
    assert (envelope.exit_code, envelope.error.code) == (2, "usage")
    assert envelope.error.remedy
    assert not home.exists()


def test_an_interrupt(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.operations.doctor.context_of", interrupted)
    assert answer("doctor", "--offline").exit_code == 130


# Broken machines: each is broken for real, in this process's environment only


def no_docker_program(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))


def no_docker_engine(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


def damaged_plan(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / "stacks" / "default").mkdir(parents=True)
    (home / "stacks" / "default" / "plan.json").write_text("{")


def home_is_a_file(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    home.write_text("")


def open_secrets(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    secrets = home / "stacks" / "default" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "credentials.env").write_text("WEBUI_SECRET_KEY=0123456789abcdef\n")
    (secrets / "credentials.env").chmod(0o644)


@pytest.mark.parametrize(
    ("broken", "id_", "verdict"),
    [
        (no_docker_program, "docker.cli", None),
        (no_docker_engine, "docker.daemon", None),
        (damaged_plan, "plan.made", "fail"),
        (home_is_a_file, "host.cache.write", "fail"),
        (open_secrets, "sec.env", "warn"),
    ],
)
def test_doctor_on_a_broken_machine(
    answer: Any, home: Path, monkeypatch: pytest.MonkeyPatch, broken: Any, id_: str, verdict: str | None
) -> None:
    """A verdict of None: whether it is bad depends on the engine that this machine plans for."""
    broken(monkeypatch, home)
    envelope = answer("doctor", "--offline")
    well_formed(envelope)
    summary = envelope.data["summary"]
    assert list(summary) == ["pass", "warn", "fail", "skip", "error", "fixed"]
    for name, count in summary.items():
        assert count == sum(finding.verdict == name for finding in envelope.findings)
    assert envelope.exit_code == (1 if summary["fail"] else 3 if summary["error"] else 0)
    found = next(finding for finding in envelope.findings if finding.id == id_)
    assert verdict is None or found.verdict == verdict
    assert "0123456789abcdef" not in msgspec.json.encode(envelope).decode()


def test_the_machine_alone_is_asked_without_writing_anything(answer: Any, home: Path) -> None:
    envelope = answer("doctor", "--pre", "--offline")
    well_formed(envelope)
    assert envelope.findings
    assert not home.exists()


def test_the_list_holds_every_record_whole(answer: Any) -> None:
    checks = answer("doctor", "--list").data["checks"]
    keys = ["id", "area", "question", "reads", "needs", "blocks", "severity", "stage", "timeout_s", "remedy", "fix"]
    for check in checks:
        assert list(check) == [*keys, "docs"]
        assert check["question"] and check["reads"]
        assert (check["remedy"] == "fix") == bool(check["fix"])
    assert answer("doctor", "--list", "--only", "docker.daemon").data["checks"][0]["id"] == "docker.daemon"
