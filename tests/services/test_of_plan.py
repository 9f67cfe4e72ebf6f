"""The services that a plan asks for, on both kinds of place."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.catalog.pins import load_pins
from orchestrator.engines.compose_place import compose_place
from orchestrator.engines.native import NativeEngine
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.services.of_plan import services_of
from orchestrator.services.place import Place
from orchestrator.services.service import Service
from orchestrator.state import StackFolder
from tests.plans import GPU_UUID, TASK_PREFIX, plan_of

WEIGHTS = Path("/srv/models/weights")


def in_container(plan: Plan) -> dict[str, Service]:
    return by_role(plan, compose_place(plan, _weights(plan), load_pins()))


def on_the_host(plan: Plan) -> dict[str, Service]:
    return by_role(plan, NativeEngine(StackFolder(plan.stack, Path("/state"))).place(plan, _weights(plan)))


def by_role(plan: Plan, place: Place) -> dict[str, Service]:
    return {service.role: service for service in services_of(plan, place, load_pins())}


def _weights(plan: Plan) -> Path | None:
    return None if plan.backend == "ollama" else WEIGHTS


def value_after(words: tuple[str, ...], flag: str) -> str:
    assert words.count(flag) == 1, f"{flag} in {words}"
    return words[words.index(flag) + 1]


def test_a_service_stands_after_those_it_depends_on() -> None:
    services = list(in_container(plan_of()).values())
    for number, service in enumerate(services):
        assert set(service.depends_on) <= {before.role for before in services[:number]}


def test_only_the_roles_of_the_plan_are_made() -> None:
    assert list(in_container(plan_of(roles=("embeddings",)))) == ["embeddings"]


def test_webui_without_its_neighbours_is_refused() -> None:
    with pytest.raises(OrchestratorError, match="without embeddings") as refused:
        plan = plan_of(roles=("webui", "vectors"))
        services_of(plan, compose_place(plan, WEIGHTS, load_pins()), load_pins())
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("backend", ["vllm", "llamacpp", "ollama"])
def test_no_secret_is_in_argv_or_environment(backend: str) -> None:
    """The records hold names of secrets; that no variable of theirs is set twice keeps it so."""
    for place in (in_container, on_the_host):
        for service in place(plan_of(backend)).values():
            assert not {entry.variable for entry in service.secrets} & set(service.environment)
            assert "--api-key" not in service.arguments


@pytest.mark.parametrize("backend", ["vllm", "llamacpp", "ollama"])
def test_only_webui_follows_the_users_address(backend: str) -> None:
    services = in_container(plan_of(backend, listen="0.0.0.0"))
    assert {role: service.published_host for role, service in services.items()} == {
        "webui": "0.0.0.0",
        "embeddings": "127.0.0.1",
        "vectors": "127.0.0.1",
    }


def test_vllm_gets_what_the_plan_says_and_its_structure() -> None:
    words = in_container(plan_of("vllm", gpu=True))["embeddings"].arguments
    assert words[:2] == ("serve", "/models/weights")
    assert value_after(words, "--runner") == "pooling"
    assert value_after(words, "--max-model-len") == "2048"
    assert value_after(words, "--gpu-memory-utilization") == "0.8"
    assert value_after(words, "--served-model-name") == "qwen3-embedding-4b"
    assert value_after(words, "--host") == "0.0.0.0"
    assert int(value_after(words, "--shutdown-timeout")) > 0


def test_vllm_drains_before_it_is_killed() -> None:
    service = in_container(plan_of("vllm"))["embeddings"]
    assert service.stop_grace_s > int(value_after(service.arguments, "--shutdown-timeout"))


def test_vllm_on_the_cpu_keeps_the_plans_threads_and_asks_no_hub() -> None:
    service = in_container(plan_of("vllm", threads=7))["embeddings"]
    assert service.environment["OMP_NUM_THREADS"] == "7"
    assert service.environment["HF_HUB_OFFLINE"] == "1"
    assert service.environment["VLLM_NO_USAGE_STATS"] == "1"
    assert service.image == load_pins().images["vllm-cpu"].reference
    assert service.gpu_uuid is None


def test_a_variable_of_the_plan_reaches_the_environment_and_not_argv() -> None:
    args = {"--runner": "pooling", "VLLM_CPU_KVCACHE_SPACE": 2}
    service = in_container(plan_of("vllm", backend_args=args))["embeddings"]
    assert service.environment["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert "VLLM_CPU_KVCACHE_SPACE" not in service.arguments


def test_llamacpp_gets_its_file_and_lists_the_served_name() -> None:
    words = on_the_host(plan_of("llamacpp"))["embeddings"].arguments
    assert value_after(words, "--model") == str(WEIGHTS)
    assert value_after(words, "--alias") == "all-minilm-l6-v2"
    assert value_after(words, "-ub") == "256"
    assert "--embedding" in words
    assert value_after(words, "--host") == "127.0.0.1"


def test_ollama_keeps_model_parameters_out_of_the_servers_settings() -> None:
    service = in_container(plan_of("ollama", gpu=True))["embeddings"]
    assert service.arguments == ("serve",)
    assert "num_ctx" not in service.environment
    assert service.environment["OLLAMA_NUM_PARALLEL"] == "1", "the plan's value, not the record's default"
    assert service.environment["OLLAMA_HOST"] == "0.0.0.0:11434"
    assert service.environment["OLLAMA_KEEP_ALIVE"] == "-1"


@pytest.mark.parametrize("backend", ["vllm", "llamacpp", "ollama"])
def test_the_card_is_named_by_uuid(backend: str) -> None:
    gpu = plan_of(backend, gpu=True)
    assert in_container(gpu)["embeddings"].gpu_uuid == GPU_UUID
    assert on_the_host(gpu)["embeddings"].environment["CUDA_VISIBLE_DEVICES"] == GPU_UUID
    assert on_the_host(plan_of(backend))["embeddings"].environment["CUDA_VISIBLE_DEVICES"] == ""


def test_weights_are_mounted_read_only() -> None:
    mounts = in_container(plan_of("vllm"))["embeddings"].mounts
    assert [(m.source, m.target, m.read_only) for m in mounts if m.kind == "bind"] == [
        (str(WEIGHTS), "/models/weights", True)
    ]


def test_natively_nothing_is_mounted() -> None:
    assert all(service.mounts == () for service in on_the_host(plan_of()).values())


def test_notes_speak_of_something_that_is_there() -> None:
    """A comment beside a value that is gone would be a lie."""
    fields = {"image", "published_port", "data", "health", "stop_grace", "depends_on", "model", "gpu", "shm"}
    known = fields | {"CUDA_VISIBLE_DEVICES", "VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS"}
    known |= {"RAG_EMBEDDING_QUERY_PREFIX", "--max-model-len"}
    for backend in ("vllm", "llamacpp", "ollama"):
        for service in in_container(plan_of(backend)).values():
            assert set(service.notes) <= known | set(service.environment) | set(service.arguments), service.name


class TestOpenWebUi:
    @pytest.mark.parametrize("backend", ["vllm", "llamacpp", "ollama"])
    def test_every_backend_is_asked_through_the_openai_api_without_a_slash_at_the_end(self, backend: str) -> None:
        services = in_container(plan_of(backend))
        environment = services["webui"].environment
        assert environment["RAG_EMBEDDING_ENGINE"] == "openai"
        assert environment["RAG_OPENAI_API_BASE_URL"] == f"http://embeddings:{services['embeddings'].port}/v1"
        assert environment["RAG_EMBEDDING_MODEL"] == "all-minilm-l6-v2"

    def test_natively_its_neighbours_are_on_this_machine(self) -> None:
        environment = on_the_host(plan_of())["webui"].environment
        assert environment["RAG_OPENAI_API_BASE_URL"] == "http://127.0.0.1:8001/v1"
        assert (environment["CHROMA_HTTP_HOST"], environment["CHROMA_HTTP_PORT"]) == ("127.0.0.1", "8002")
        assert environment["DATA_DIR"] == "/state/stacks/default/data/webui"

    def test_prefixes_are_exact_and_absent_where_the_model_has_none(self) -> None:
        assert in_container(plan_of(gpu=True))["webui"].environment["RAG_EMBEDDING_QUERY_PREFIX"] == TASK_PREFIX
        environment = in_container(plan_of())["webui"].environment
        assert "RAG_EMBEDDING_QUERY_PREFIX" not in environment
        assert "RAG_EMBEDDING_CONTENT_PREFIX" not in environment

    def test_no_default_that_bites_is_left(self) -> None:
        environment = in_container(plan_of())["webui"].environment
        assert int(environment["RAG_EMBEDDING_BATCH_SIZE"]) >= 32
        assert int(environment["RAG_EMBEDDING_CONCURRENT_REQUESTS"]) > 0
        assert int(environment["RAG_EMBEDDING_TIMEOUT"]) >= int(environment["AIOHTTP_CLIENT_TIMEOUT"]) > 0
        assert environment["VECTOR_DB"] == "chroma"
        assert environment["ENABLE_SIGNUP"] == "false"
        assert environment["ENABLE_API_KEYS"] == "true"
        assert environment["ENABLE_OLLAMA_API"] == "false"
        assert environment["OFFLINE_MODE"] == "true"

    def test_admin_and_keys_come_from_the_secrets(self) -> None:
        secrets = {entry.variable: entry.secret for entry in in_container(plan_of())["webui"].secrets}
        assert secrets == {
            "WEBUI_ADMIN_EMAIL": "webui_admin_email",
            "WEBUI_ADMIN_PASSWORD": "webui_admin_password",
            "WEBUI_SECRET_KEY": "webui_secret_key",
            "RAG_OPENAI_API_KEY": "embeddings_api_key",
        }

    @pytest.mark.parametrize(
        ("listen", "origins"),
        [
            ("127.0.0.1", "http://127.0.0.1:3000;http://localhost:3000"),
            ("192.168.1.9", "http://192.168.1.9:3000;http://127.0.0.1:3000;http://localhost:3000"),
            ("0.0.0.0", "*"),
        ],
    )
    def test_browsers_may_come_from_where_it_listens(self, listen: str, origins: str) -> None:
        assert in_container(plan_of(listen=listen))["webui"].environment["CORS_ALLOW_ORIGIN"] == origins

    def test_it_waits_for_chroma_and_is_given_time_to_stop(self) -> None:
        service = in_container(plan_of())["webui"]
        assert service.depends_on == ("vectors",)
        assert service.stop_grace_s >= 60
