"""The archive is for strangers: grepped here for everything that they must not see."""

import getpass
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.doctor.report_archive import archive
from orchestrator.engines.native import NativeEngine
from orchestrator.errors import OrchestratorError
from orchestrator.operations import doctor_report
from orchestrator.operations.doctor_context import context_of
from orchestrator.operations.doctor_report import report_entries, write_report
from orchestrator.operations.planning import pins_hash
from orchestrator.operations.record import Intent, write_intent
from orchestrator.operations.secrets import ensure_secrets
from orchestrator.plan.records import Decision, Throughput
from orchestrator.plan.spec import Spec
from orchestrator.result import Finding, Result
from orchestrator.state import StackFolder
from tests.plans import plan_of

HF_TOKEN = "hf_" + "a1B2" * 8
PROXY = "http://proxyuser:proxypassword@proxy.example:3128"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A native stack, planned and rendered, whose log says everything that it should not."""
    person = tmp_path / "home" / "somebody"
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(person / "state"))
    monkeypatch.setenv("HF_TOKEN", HF_TOKEN)
    monkeypatch.setattr(getpass, "getuser", lambda: "somebody")
    monkeypatch.setattr(socket, "gethostname", lambda: "tower.of.babel")
    monkeypatch.setattr(NativeEngine, "observe", lambda self: ())
    made = StackFolder("default")
    throughput = Throughput(
        target_docs_per_s=1, tokens_per_doc=1, ceiling_docs_per_s=None, expected_docs_per_s=None, verdict="unknown"
    )
    intent = Intent(
        spec=Spec(),
        decision=Decision(plan=plan_of(engine="native"), rejected=(), throughput=throughput),
        pins_hash=pins_hash(),
        tool_version="0",
        decided_at=datetime.now(UTC),
    )
    write_intent(made, intent)
    secrets = ensure_secrets(made)
    context_of("default", offline=True).existing.render()
    said = [
        *secrets.values(),
        str(person / "notes"),
        "somebody@tower.of.babel",
        "tower",
        HF_TOKEN,
        PROXY,
        "all is well",
    ]
    monkeypatch.setattr(NativeEngine, "logs", lambda self, role, lines: [f"{role}: {one}" for one in said])
    return made


@pytest.fixture
def entries(folder):
    finding = Finding(
        id="a", verdict="fail", question="Is it?", evidence=f"{folder.path} of somebody on tower.of.babel", reason="no"
    )
    return report_entries(context_of("default", offline=True), Result(command="doctor", findings=(finding,)))


def test_nothing_private_is_in_it(folder, entries):
    secrets = [value for value in ensure_secrets(folder).values() if value]
    assert len(secrets) >= 4
    text = "\n".join(entries.values())
    for private in (*secrets, HF_TOKEN, "proxypassword", "somebody", "tower", str(Path.home())):
        assert private not in text, private
    assert not [path for path in entries if "secret" in path]


def test_what_explains_a_fault_is_in_it(entries):
    assert {path.partition("/")[0] for path in entries} == {
        "README.txt", "findings.json", "versions.json", "facts.json", "plan.json", "services.json", "rendered", "logs",
    }  # fmt: skip
    assert "embeddings: all is well" in entries["logs/embeddings.log"]
    assert "rendered/supervisord.conf" in entries
    assert "$ORCHESTRATOR_HOME/stacks/default of <user> on <host>" in entries["findings.json"]
    assert '"served_name"' in entries["plan.json"]
    for name in ("docker", "python", "pins"):
        assert f'"{name}"' in entries["versions.json"]


def test_a_log_that_cannot_be_read_says_so(folder, monkeypatch):
    def gone(self, role, lines):
        raise OrchestratorError("no_engine", "the engine does not answer")

    monkeypatch.setattr(NativeEngine, "logs", gone)
    found = report_entries(context_of("default", offline=True), Result(command="doctor"))
    assert found["logs/webui.log"] == "cannot be read: the engine does not answer\n"


def test_every_secret_file_is_read_however_damaged(folder):
    (folder.secrets / "extra.env").write_text("# a comment\nexport KEY='quoted-secret-1'\nno-key-at-all-2\n\xff\n")
    private = doctor_report.private_of(folder)
    assert {"quoted-secret-1", "no-key-at-all-2"} <= set(private.secrets)


def test_no_user_name_and_a_home_that_is_the_root(monkeypatch):
    """As in many a container."""

    def nobody():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setenv("HOME", "/")
    private = doctor_report.private_of(None)
    assert "/" not in dict(private.folders)


def test_a_place_where_it_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OrchestratorError) as caught:
        write_report(tmp_path / "file" / "x.zip", context_of("default", offline=True), Result(command="doctor"))
    assert caught.value.code == "not_written"


def test_an_unknown_kind_of_archive_is_refused():
    with pytest.raises(OrchestratorError) as caught:
        archive("report.rar", {})
    assert caught.value.exit_code == 2
