from __future__ import annotations

import stat
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.operations.failure import redact
from orchestrator.operations.secrets import ensure_secrets, read_secrets, store_secrets
from orchestrator.state import StackFolder


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    return StackFolder("default", tmp_path)


def test_they_are_made_once_and_kept(folder: StackFolder) -> None:
    first = ensure_secrets(folder)
    assert ensure_secrets(folder) == first
    assert first["webui_admin_password"] != ensure_secrets(StackFolder("other", folder.path))["webui_admin_password"]


def test_the_file_and_its_folder_are_private(folder: StackFolder) -> None:
    ensure_secrets(folder)
    assert stat.S_IMODE(folder.credentials_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.secrets.stat().st_mode) == 0o700


def test_the_keys_that_scripts_rely_on(folder: StackFolder) -> None:
    ensure_secrets(folder)
    keys = {line.split("=", 1)[0] for line in folder.credentials_file.read_text().splitlines()}
    assert keys >= {"WEBUI_ADMIN_EMAIL", "WEBUI_ADMIN_PASSWORD", "WEBUI_API_KEY", "EMBEDDINGS_API_KEY"}


def test_values_with_equal_signs_survive(folder: StackFolder) -> None:
    store_secrets(folder, {**ensure_secrets(folder), "webui_api_key": "sk-a=b=="})
    assert read_secrets(folder)["webui_api_key"] == "sk-a=b=="


def test_a_damaged_file_is_named_with_its_line_but_not_its_content(folder: StackFolder) -> None:
    ensure_secrets(folder)
    folder.credentials_file.write_text("WEBUI_ADMIN_EMAIL=a@b.c\ntop-secret-garbage\n")
    with pytest.raises(OrchestratorError) as damaged:
        read_secrets(folder)
    assert "line 2" in damaged.value.message
    assert "top-secret" not in damaged.value.message


def test_redact_hides_every_secret_but_no_short_word() -> None:
    assert redact("key=abcdefgh12 and a", ["abcdefgh12", "a", ""]) == "key=<secret> and a"
