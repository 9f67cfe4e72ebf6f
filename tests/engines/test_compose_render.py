"""compose.yaml against files that were read by a person, and against `docker compose config` itself.

After an intended change: REGENERATE_GOLDEN=1 pytest tests/engines/test_compose_render.py, then read the difference.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from orchestrator.catalog.pins import load_pins
from orchestrator.engines.compose import ComposeEngine
from orchestrator.engines.compose_place import compose_place
from orchestrator.engines.compose_render import block_of, compose_file
from orchestrator.plan.records import Plan
from orchestrator.services.of_plan import services_of
from orchestrator.services.service import Service
from orchestrator.state import StackFolder
from tests.plans import GPU_UUID, TASK_PREFIX, plan_of

GOLDEN = Path(__file__).parent / "golden"
CASES = {
    "vllm-cpu": plan_of("vllm"),
    "vllm-gpu": plan_of("vllm", gpu=True),
    "llamacpp-cpu": plan_of("llamacpp"),
    "ollama-gpu": plan_of("ollama", gpu=True),
}
SECRETS = {
    "webui_admin_email": "admin@example.org",
    "webui_admin_password": "a password",
    "webui_secret_key": "key-of-webui",
    "embeddings_api_key": "key-of-embeddings",
}


def services(plan: Plan) -> tuple[Service, ...]:
    weights = {"vllm": Path("/srv/models/minilm"), "llamacpp": Path("/srv/models/minilm.gguf"), "ollama": None}
    return services_of(plan, compose_place(plan, weights[plan.backend], load_pins()), load_pins())


def rendered(plan: Plan) -> str:
    return compose_file(plan, services(plan))


def compose_plugin() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", CASES)
def test_the_file_is_the_one_that_was_read(name: str) -> None:
    golden = GOLDEN / f"{name}.yaml"
    text = rendered(CASES[name]).replace(version("orchestrator"), "VERSION")
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.skipif(not compose_plugin(), reason="no docker compose here")
@pytest.mark.parametrize("name", CASES)
def test_compose_reads_it_alone_and_understands_what_was_meant(name: str, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(CASES[name], query_prefix=f"{TASK_PREFIX} $HOME ${{X}}")
    engine = ComposeEngine(StackFolder.at(plan.stack, tmp_path))
    engine.write(services(plan), engine.render(plan, services(plan)), SECRETS)
    config = json.loads(_config(tmp_path / "rendered"))
    webui, embeddings = config["services"]["webui"], config["services"]["embeddings"]
    assert config["name"] == "orchestrator-default"
    # `config` prints `$` doubled, as it would have to be written.
    assert webui["environment"]["RAG_EMBEDDING_QUERY_PREFIX"] == f"{TASK_PREFIX} $$HOME $${{X}}"
    assert webui["ports"][0] | {"host_ip": "127.0.0.1", "published": "3000", "target": 8080} == webui["ports"][0]
    assert webui["depends_on"]["vectors"]["condition"] == "service_healthy"
    assert webui["logging"]["options"] == {"max-file": "3", "max-size": "10m"}
    assert webui["labels"]["orchestrator.secrets"], "the hash from .env"
    if plan.device.uuid:
        devices = embeddings["deploy"]["resources"]["reservations"]["devices"]
        assert devices == [{"capabilities": ["gpu"], "driver": "nvidia", "device_ids": [GPU_UUID]}]
    if plan.backend == "vllm":
        assert int(embeddings["shm_size"]) == 4 << 30


def _config(folder: Path) -> str:
    command = ("docker", "compose", "config", "--format", "json")
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", CASES)
def test_nothing_floats_and_nothing_is_public(name: str) -> None:
    parsed: dict[str, Any] = yaml.safe_load(rendered(CASES[name]))
    for service in parsed["services"].values():
        assert service["image"].rpartition(":")[2] not in ("latest", "main", "")
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "privileged" not in service


@pytest.mark.parametrize("name", CASES)
def test_no_secret_is_in_the_file(name: str, tmp_path: Path) -> None:
    engine = ComposeEngine(StackFolder.at("default", tmp_path))
    plan = CASES[name]
    for path in engine.write(services(plan), engine.render(plan, services(plan)), SECRETS):
        holds = any(secret in path.read_text() for secret in SECRETS.values())
        assert holds == (path.parent.name == "secrets"), path
        if holds:
            assert path.stat().st_mode & 0o777 == 0o600


def test_written_files_of_services_that_are_gone_are_removed(tmp_path: Path) -> None:
    engine = ComposeEngine(StackFolder.at("default", tmp_path))
    for plan in (plan_of(), plan_of(roles=("embeddings",))):
        engine.write(services(plan), engine.render(plan, services(plan)), SECRETS)
    assert [path.name for path in (tmp_path / "rendered/secrets").iterdir()] == ["embeddings.env"]


def test_a_comment_does_not_change_the_definition_and_a_value_does() -> None:
    service = services(plan_of())[0]
    same = msgspec.structs.replace(service, notes={**service.notes, "health": "other words"})
    other = msgspec.structs.replace(service, stop_grace_s=service.stop_grace_s + 1)
    definitions = [block_of("default", s).definition for s in (service, same, other)]
    assert definitions[0] == definitions[1] != definitions[2]


def test_a_note_cannot_break_out_of_its_comment() -> None:
    service = services(plan_of())[0]
    evil = msgspec.structs.replace(service, notes={"image": "first line\n    privileged: true\u2028x"})
    assert "privileged" not in yaml.safe_load(compose_file(plan_of(), (evil,)))["services"]["vectors"]


def test_a_locked_image_is_pinned_by_its_digest(tmp_path: Path) -> None:
    plan = plan_of()
    image = services(plan)[0].image
    digest = f"sha256:{'ab' * 32}"
    (tmp_path / "digests.json").write_text(json.dumps({image: digest}))
    engine = ComposeEngine(StackFolder.at("default", tmp_path))
    parsed = yaml.safe_load(engine.render(plan, services(plan))[0].text)
    assert parsed["services"]["vectors"]["image"] == f"{image}@{digest}"
    assert "@" not in parsed["services"]["webui"]["image"]


def test_a_stack_that_was_never_started_has_nothing_to_observe(tmp_path: Path) -> None:
    assert ComposeEngine(StackFolder.at("default", tmp_path)).observe() == ()
