"""Secrets files, read by a real shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.catalog.pins import load_pins
from orchestrator.engines.compose_place import compose_place
from orchestrator.engines.compose_secrets import WRAPPER, secret_files, secrets_hash
from orchestrator.errors import OrchestratorError
from orchestrator.services.of_plan import services_of
from orchestrator.services.service import Service
from tests.plans import plan_of

SECRETS = {
    "webui_admin_email": "admin@example.org",
    "webui_admin_password": "it's $HOME `id` \"#\\ ;\n x",
    "webui_secret_key": "k" * 43,
    "embeddings_api_key": "e" * 43,
}


def services() -> tuple[Service, ...]:
    plan = plan_of()
    return services_of(plan, compose_place(plan, Path("/srv/m"), load_pins()), load_pins())


def read_by_a_shell(env_file: Path, variable: str) -> bytes:
    """As in the container: the wrapper sources the file, then runs the command."""
    wrapper = WRAPPER.format(role="webui").replace("/run/secrets/webui.env", str(env_file))
    program = ("python3", "-c", f"import os,sys; sys.stdout.buffer.write(os.environb[b'{variable}'])")
    return subprocess.run(["sh", "-c", wrapper, "sh", *program], check=True, capture_output=True).stdout


def test_a_shell_reads_every_value_back(tmp_path: Path) -> None:
    file = next(file for file in secret_files(services(), SECRETS) if file.path == "secrets/webui.env")
    assert file.mode == 0o600
    (tmp_path / "webui.env").write_text(file.text)
    assert read_by_a_shell(tmp_path / "webui.env", "WEBUI_ADMIN_PASSWORD").decode() == SECRETS["webui_admin_password"]
    assert read_by_a_shell(tmp_path / "webui.env", "RAG_OPENAI_API_KEY").decode() == "e" * 43


@settings(max_examples=25, deadline=None)
@given(value=st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")))
def test_whatever_the_secret_is(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    file = secret_files(services(), {**SECRETS, "webui_secret_key": value})[1]
    path = tmp_path_factory.mktemp("secret") / "webui.env"
    path.write_bytes(file.text.encode())
    assert read_by_a_shell(path, "WEBUI_SECRET_KEY") == value.encode()


def test_a_changed_secret_changes_only_its_services_hash() -> None:
    embeddings, webui = (service for service in services() if service.secrets)
    changed = {**SECRETS, "webui_admin_password": "another"}
    assert secrets_hash(webui, SECRETS) != secrets_hash(webui, changed)
    assert secrets_hash(embeddings, SECRETS) == secrets_hash(embeddings, changed)


def test_the_env_file_holds_hashes_and_no_value() -> None:
    env = next(file for file in secret_files(services(), SECRETS) if file.path == ".env")
    assert not any(value in env.text for value in SECRETS.values())
    assert "SECRETS_OF_WEBUI=" in env.text


def test_a_missing_secret_is_named() -> None:
    webui = services()[-1]
    with pytest.raises(OrchestratorError, match="webui_secret_key"):
        secrets_hash(webui, {key: value for key, value in SECRETS.items() if key != "webui_secret_key"})


def test_a_service_without_secrets_has_no_file() -> None:
    bare = msgspec.structs.replace(services()[0], secrets=())
    assert [file.path for file in secret_files((bare,), {})] == [".env"]
    assert secrets_hash(bare, {}) == ""
