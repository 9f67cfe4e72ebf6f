"""Secrets on the disk, broken for real: modes, a real git repository, a key that is empty, gone, changed, known."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest

from orchestrator.doctor.check import Check
from orchestrator.doctor.checks.secrets import KEY, SECRET_MODES, SIGNING_KEY, UPSTREAM_DEFAULT
from orchestrator.errors import OrchestratorError
from orchestrator.operations.secrets import ensure_secrets, read_secrets, store_secrets
from orchestrator.state import StackFolder, write_whole
from tests.doctor.broken import changed, findings, verdicts
from tests.doctor.ports import quiet_ports
from tests.plans import plan_of

MINE = ("sec.env", "sec.secret")


@pytest.fixture
def started(context):
    """A native stack that was brought up once: its secrets, the copy that Open WebUI's start script reads, its data."""
    healthy = context(plan=plan_of(engine="native", ports=quiet_ports()), offline=True)
    secrets = ensure_secrets(healthy.folder)
    hand_out(healthy.folder, secrets["webui_secret_key"])
    (healthy.folder.data / "webui").mkdir(parents=True)
    (healthy.folder.data / "webui" / "webui.db").touch()
    return healthy


def hand_out(folder: StackFolder, key: str) -> None:
    write_whole(folder.secrets / "webui.env", f"# Secrets\nexport WEBUI_ADMIN_EMAIL='a b'\nexport {KEY}={key}\n", 0o600)


def set_key(folder: StackFolder, key: str | None) -> None:
    values = read_secrets(folder)
    del values["webui_secret_key"]
    store_secrets(folder, values if key is None else values | {"webui_secret_key": key})


def fix(check: Check, context) -> None:
    assert check.fix is not None
    assert check.fix.text
    check.fix.apply(context)


def test_a_stack_as_up_leaves_it(started):
    found = findings(started)
    assert {found[name].verdict for name in MINE} == {"pass"}
    key = read_secrets(started.folder)["webui_secret_key"]
    assert key not in repr(found)


def test_before_the_first_up(context):
    found = findings(context(offline=True))
    assert {found[name].verdict for name in MINE} == {"pass"}


def test_a_file_that_others_can_read(started):
    before = verdicts(started)
    started.folder.credentials_file.chmod(0o644)
    (started.folder.secrets / "webui.env").chmod(0o640)
    assert changed(before, started) == {"sec.env": "warn"}
    finding = findings(started)["sec.env"]
    assert "0644" in finding.evidence
    fix(SECRET_MODES, started)
    assert stat.S_IMODE(started.folder.credentials_file.stat().st_mode) == 0o600
    assert changed(before, started) == {}


def test_a_folder_that_others_can_list(started):
    before = verdicts(started)
    started.folder.secrets.chmod(0o755)
    assert changed(before, started) == {"sec.env": "warn"}


@pytest.fixture
def repository(started):
    """The state folder inside a git repository, as with `render --out` into a project."""
    root = started.folder.path.parents[1]
    quiet = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, env=quiet)

    git("init", "--quiet")
    return git


def test_a_repository_above_that_tracks_no_secret_is_well(started, repository):
    repository("add", "stacks/default/data")
    assert findings(started)["sec.env"].verdict == "pass"


def test_a_secret_in_a_repository(started, repository):
    before = verdicts(started)
    repository("add", "stacks/default/secrets/credentials.env")
    assert changed(before, started) == {"sec.env": "warn"}
    finding = findings(started)["sec.env"]
    assert "git tracks" in finding.evidence
    (command,) = finding.remedy.commands
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert changed(before, started) == {}


# sec.secret


def test_an_empty_key_of_a_started_stack_is_put_back(started):
    before, key = verdicts(started), read_secrets(started.folder)["webui_secret_key"]
    set_key(started.folder, "")
    assert changed(before, started) == {"sec.secret": "fail"}
    assert findings(started)["sec.secret"].remedy.commands == ("orchestrator doctor --fix --only sec.secret",)
    fix(SIGNING_KEY, started)
    assert read_secrets(started.folder)["webui_secret_key"] == key
    assert stat.S_IMODE(started.folder.credentials_file.stat().st_mode) == 0o600
    assert changed(before, started) == {}


def test_a_lost_credentials_file_of_a_started_stack(started):
    """The next `up` would make new secrets without a word: nobody could sign in any more."""
    before, key = verdicts(started), read_secrets(started.folder)["webui_secret_key"]
    started.folder.credentials_file.unlink()
    assert changed(before, started) == {"sec.secret": "fail"}
    fix(SIGNING_KEY, started)
    assert read_secrets(started.folder) == {"webui_secret_key": key}


def test_a_key_that_is_nowhere_any_more_is_not_replaced(started):
    set_key(started.folder, None)
    (started.folder.secrets / "webui.env").unlink()
    finding = findings(started)["sec.secret"]
    assert finding.verdict == "fail"
    assert finding.remedy.commands == ()
    with pytest.raises(OrchestratorError, match="stored data depends"):
        fix(SIGNING_KEY, started)
    assert "webui_secret_key" not in read_secrets(started.folder)


def test_a_key_is_made_where_nothing_depends_on_one(context):
    fresh = context(plan=plan_of(engine="native", ports=quiet_ports()), offline=True)
    ensure_secrets(fresh.folder)
    before = verdicts(fresh)
    others = {name: value for name, value in read_secrets(fresh.folder).items() if name != "webui_secret_key"}
    set_key(fresh.folder, "")
    assert changed(before, fresh) == {"sec.secret": "fail"}
    fix(SIGNING_KEY, fresh)
    made = read_secrets(fresh.folder)
    assert len(made["webui_secret_key"]) >= 32
    assert {name: made[name] for name in others} == others
    assert changed(before, fresh) == {}


def test_a_changed_key(started):
    before = verdicts(started)
    set_key(started.folder, "another-key-of-somebody")
    assert changed(before, started) == {"sec.secret": "fail"}
    fix(SIGNING_KEY, started)
    assert read_secrets(started.folder)["webui_secret_key"] == "another-key-of-somebody", "a set key is never replaced"


def test_a_key_that_everybody_knows(started):
    before = verdicts(started)
    set_key(started.folder, UPSTREAM_DEFAULT)
    hand_out(started.folder, UPSTREAM_DEFAULT)
    assert changed(before, started) == {"sec.secret": "fail"}


def test_the_copy_of_compose_is_read_as_a_shell_reads_it(started):
    (started.folder.secrets / "webui.env").unlink()
    copy = started.folder.rendered / "secrets" / "webui.env"
    write_whole(copy, f"WEBUI_ADMIN_EMAIL='x'\n{KEY}='it'\\''s a key'\n", 0o600)
    set_key(started.folder, "it's a key")
    assert findings(started)["sec.secret"].verdict == "pass"


def test_a_stack_without_open_webui_has_no_such_key(context):
    found = findings(context(plan=plan_of(engine="native", roles=("embeddings",)), offline=True))
    assert found["sec.secret"].verdict == "skip"
