"""Lines as the pinned programs write them: vLLM's on a card after its source, its CPU build's as seen."""

from orchestrator.facts.server_log import kv_tokens_told, memory_told

GIB, MIB = 2**30, 2**20
VLLM_ON_A_CARD = """\
(EngineCore pid=9) INFO [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='x'
(EngineCore pid=9) INFO [gpu_model_runner.py:5150] Model loading took 7.54 GiB memory and 4.123456 seconds
(EngineCore pid=9) INFO [gpu_worker.py:760] Available KV cache memory: 1.84 GiB
(EngineCore pid=9) INFO [kv_cache_utils.py:2328] GPU KV cache size: 13,392 tokens, Maximum concurrency for 8,192 \
tokens per request: 1.63x
(EngineCore pid=9) INFO [gpu_model_runner.py:6582] Graph capturing finished in 7 secs, took 0.61 GiB
(EngineCore pid=9) INFO [gpu_worker.py:1040] Free memory on device (11.5/11.63 GiB) on startup. Desired GPU memory \
utilization is (0.944, 10.98 GiB). Actual usage is 7.62 GiB for consumed memory (weights + non-torch), 0.43 GiB for \
peak activation, and 0.61 GiB for CUDAGraph memory. Replace gpu_memory_utilization config with \
`--kv-cache-memory=1234` (0.1 GiB) to fit into requested memory.
""".splitlines()
VLLM_ON_THE_CPU = """\
(Worker pid=5291) INFO 11-28 19:21:14 [weight_utils.py:1108] Filesystem type for checkpoints: EXT4. Checkpoint size: \
0.08 GiB. Available RAM: 21.24 GiB.
""".splitlines()
LLAMA = """\
srv    load_model: loading model '/models/minilm.gguf'
load_tensors:   CPU_Mapped model buffer size =    43.10 MiB
llama_context:        CPU  output buffer size =     0.13 MiB
llama_kv_cache:        CPU KV buffer size =   288.00 MiB
sched_reserve:        CPU compute buffer size =    17.01 MiB
""".splitlines()


def told(lines):
    return {one.name: one.bytes for one in memory_told(lines)}


def test_vllm_on_a_card():
    assert told(VLLM_ON_A_CARD) == {
        "weights": int(7.54 * GIB),
        "kv cache": int(1.84 * GIB),
        "cuda graphs": int(0.61 * GIB),
        "weights and context": int(7.62 * GIB),
        "activations": int(0.43 * GIB),
    }
    assert kv_tokens_told(VLLM_ON_A_CARD) == 13392


def test_vllm_on_the_cpu_tells_little_of_an_encoder():
    assert told(VLLM_ON_THE_CPU) == {"weights file": int(0.08 * GIB)}
    assert kv_tokens_told(VLLM_ON_THE_CPU) is None


def test_the_cache_of_a_decoder_on_the_cpu():
    lines = [
        "(Worker) Explicitly set (1.0/14.84) GiB for KV cache on node 0.",
        "CPU KV cache size: 524,288 tokens, Maximum concurrency for 8,192 tokens per request: 64.00x",
    ]
    assert told(lines) == {"kv cache": GIB}
    assert kv_tokens_told(lines) == 524288


def test_llama_cpp_adds_its_devices_up():
    assert told(LLAMA) == {
        "weights": int(43.10 * MIB),
        "kv cache": 288 * MIB,
        "buffers": int(0.13 * MIB) + int(17.01 * MIB),
    }
    second = ["load_tensors:        CUDA0 model buffer size =  2000.00 MiB"]
    assert told([*LLAMA, *second])["weights"] == int(43.10 * MIB) + 2000 * MIB


def test_only_the_last_start_counts():
    assert told([*LLAMA, *LLAMA]) == told(LLAMA)
    assert told([*VLLM_ON_A_CARD, VLLM_ON_A_CARD[0]]) == {}
    assert told([]) == {}
