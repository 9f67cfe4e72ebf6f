# ruff: noqa: E501 - texts as they were written
"""Each text as facts/ measured it or read it in the source, as it was provoked here, or as upstream's trackers report it."""

import re

import pytest

from orchestrator.doctor.causes import RULES, match_cause

MEASURED = [
    ("library_missing_numa", "AttributeError: '_OpNamespace' '_C' object has no attribute 'init_cpu_memory_env'"),
    ("library_missing_numa", "ImportError: libnuma.so.1: cannot open shared object file: No such file or directory"),
    # embedding-servers.md 1.2, 1.5, 1.9
    ("kv_cache_too_small", "ValueError: To serve at least one request with the model's max seq len (32768), (0.06 GiB KV cache is needed, which is larger than the available KV cache memory (0.01 GiB). Based on the available memory, the estimated maximum model length is 3968. Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend) or decreasing `max_model_len` when initializing the engine."),
    ("no_kv_memory", "ValueError: Available memory on node 0 (10.57/14.84 GiB) on kv cache allocation is less than requested memory for kv (-0.58/0.15 GiB). Reduce CPU memory used by other processes."),
    ("memory_taken", "ValueError: Available memory on node 0 (10.96/14.84 GiB) on startup is less than desired CPU memory utilization (0.95, 14.1 GiB). On the CPU backend, the `--gpu-memory-utilization` flag controls the fraction of CPU memory reserved (despite its name)."),
    ("memory_taken", "ValueError: Free memory on device cuda:0 (7.1/11.63 GiB) on startup is less than desired GPU memory utilization (0.92, 10.7 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."),
    ("no_kv_memory", "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine (this flag also controls CPU memory reservation on the CPU backend, despite its name)."),
    ("vllm_metadata_missing", "importlib.metadata.PackageNotFoundError: No package metadata was found for vllm"),
    ("no_matryoshka", "Model 'minilm' does not support Matryoshka embeddings; dimensions must be unset (received dimensions=128)."),
    ("no_matryoshka", "Model 'minilm' only supports Matryoshka dimensions [64, 128, 384], got 100."),
    # embedding-servers.md 2.3
    ("ubatch_too_small", "input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)"),
    # docker-and-gpu-containers.md 1.1, 1.2, 3.2, 3.3, 4.1, 5, 6.2, 7
    ("missing_library", "ImportError: libstdc++.so.6: cannot open shared object file: No such file or directory"),
    ("private_ca", "SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain')"),
    ("wrong_image", 'exec: "nosuchbinary": executable file not found in $PATH'),
    ("mount_missing", "bind source path does not exist: /tmp/secrets/key"),
    ("port_taken", "driver failed programming external connectivity on endpoint NAME (id): Error starting userland proxy: listen tcp4 127.0.0.1:3000: bind: address already in use"),
    ("image_missing", "No such image: chromadb/chroma:1.5.9"),
    ("registry_unreachable", 'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 192.0.2.1:53: no such host'),
    ("image_missing", "manifest for registry.example/name:tag not found: manifest unknown: manifest unknown"),
    ("compose_file", "services.a Additional property comand is not allowed"),
    ("compose_file", "additional properties 'comand' not allowed"),
    ("compose_file", "required variable TAG is missing a value: set TAG"),
    ("no_gpu_runtime", 'Error response from daemon: could not select device driver "nvidia" with capabilities: [[gpu]]'),
    ("no_gpu_runtime", 'could not select device driver "" with capabilities: [[gpu]]'),
    ("no_gpu_runtime", 'could not select device driver "cdi" with capabilities: []'),
    ("no_gpu_runtime", "Unknown runtime specified nvidia"),
    ("cdi_stale", "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0"),
    ("disk_full", "write /var/lib/docker/tmp/x: no space left on device"),
    ("docker_version", "client version 1.44 is too new. Maximum supported API version is 1.41"),
    ("docker_not_running", "Error while fetching server API version: ('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))"),
    ("driver_mismatch", "Mismatch in versions between nvidia-smi and NVML."),
    ("no_driver", "pynvml.NVMLError_LibraryNotFound: NVML Shared Library Not Found"),
    ("no_rlimit", "error setting rlimit type 7: operation not permitted"),
    ("killed", "container x exited (137)"),
    # open-webui-and-chroma.md 1, 3, 8
    ("slim_image", "Slim requires PostgreSQL/pgvector for vector storage. Set VECTOR_DB=pgvector and PGVECTOR_DB_URL, or use the standard image."),
    ("chroma_unreachable", "ValueError: Could not connect to a Chroma server. Are you sure it is running?"),
    ("embedder_unreachable", "Cannot connect to host 127.0.0.1:8001 ssl:default [Connect call failed ('127.0.0.1', 8001)]"),
    ("embeddings_url_wrong", "404, message='Not Found', url='http://h/embeddings'"),
    ("embeddings_url_wrong", "404, message='Not Found', url='http://127.0.0.1:8001/v1//embeddings'"),
    ("embeddings_url_wrong", "not%20a%20url/embeddings"),
    ("not_an_embedder", "Unexpected OpenAI embeddings response: missing 'data' key"),
    ("batch_zero", "range() arg 3 must not be zero"),
    ("local_engine", "No embedding model is loaded. Set one under Admin Settings"),
    ("connection_refused", "[Errno 111] Connection refused"),
    ("too_many_files", "Cannot connect to host 127.0.0.1:8001 ssl:default [Too many open files]"),
    ("overlap_above_chunk", "Got a larger chunk overlap (200) than chunk size (100), should be smaller."),
    ("dimension_changed", "Collection expecting embedding with dimension of 384, got 768"),
    ("secret_key_missing", "WEBUI_SECRET_KEY is not set. It is a hard requirement when authentication is enabled."),
    ("environment_incomplete", "ModuleNotFoundError: No module named 'azure'"),
    ("embedder_failed", "500, message='Internal Server Error', url='http://127.0.0.1:8001/v1/embeddings'"),
    ("embedder_busy", "429, message='Too Many Requests', url='http://127.0.0.1:8001/v1/embeddings'"),
    ("wrong_key", "401, message='Unauthorized', url='http://127.0.0.1:8001/v1/embeddings'"),
    ("too_few_vectors", "list index out of range"),
    ("query_failed", '{"detail":"[ERROR: Error querying knowledge base]"}'),
    ("engine_unknown", '{"detail":"[ERROR: Error updating embedding configuration]"}'),
    ("api_keys_off", "API key creation is not allowed in the environment."),
    ("duplicate_content", "400: Duplicate content detected. Please provide unique content to proceed."),
    ("chat_unreachable", "Open WebUI: Server Connection Error"),
    # embedding-servers.md 1.2, 1.5, 2.4
    ("input_too_long", "This model's maximum context length is 256 tokens. However, your prompt contains at least 257 input tokens, which exceeds this limit even without any output tokens."),
    ("wrong_model", "The model `nope` does not exist."),
    ("wrong_key", '{"error":"Unauthorized"}'),
    ("no_device_found", "current_platform is UnspecifiedPlatform"),
    ("input_too_long", '{"error":{"code":400,"message":"input (602 tokens) is larger than the max context size (256 tokens). skipping","type":"exceed_context_size_error","n_prompt_tokens":602,"n_ctx":256}}'),
    ("chat_on_embedder", "the current context does not support logits computation. skipping"),
    # docker-and-gpu-containers.md 3.2, 4.1, 10
    ("dependency_unhealthy", "dependency failed to start: container stack-vectors-1 is unhealthy"),
    ("not_healthy_in_time", "application not healthy after 6s"),
    ("service_ended", "container stack-webui-1 exited (7)"),
    ("image_missing", "no such image: team/x:1: No such image: team/x:1"),
    ("no_rlimit", "can't get final child's PID from pipe: EOF"),
    # models-and-gpus.md 2
    ("no_matryoshka", "does not support matryoshka representation"),
]  # fmt: skip
MADE_HERE = [
    # Docker 28.2.2 with engine 20.10.24 and Compose 2.26.1, made by a wrong command each
    ("no_gpu_runtime", 'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]]'),
    ("no_gpu_runtime", "docker: Error response from daemon: Unknown runtime specified nvidia"),
    ("wrong_image", 'docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/none": stat /none: no such file or directory: unknown'),
    ("wrong_image", 'docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/hello": permission denied: unknown'),
    ("image_missing", "docker: Error response from daemon: No such image: none:1"),
    ("registry_unreachable", 'Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 192.0.2.1:53: no such host'),
    ("registry_unreachable", 'Error response from daemon: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'),
    ("not_a_registry", "Error response from daemon: error parsing HTTP 404 response body: invalid character '<' looking for beginning of value: \"<!DOCTYPE HTML>"),
    ("port_taken", "docker: Error response from daemon: driver failed programming external connectivity on endpoint x (4f82e1): Error starting userland proxy: listen tcp4 127.0.0.1:18099: bind: address already in use"),
    ("docker_not_running", "Cannot connect to the Docker daemon at unix:///run/dead.sock. Is the docker daemon running?"),
    ("docker_permission", 'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.50/containers/json": dial unix /var/run/docker.sock: connect: permission denied'),
    ("mount_missing", 'docker: Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /nope'),
    ("bridge_lost", "docker: Error response from daemon: failed to create endpoint x on network bridge: adding interface veth0139741 to bridge docker0 failed: could not find bridge docker0: route ip+net: no such network interface"),
    ("name_taken", 'Error response from daemon: Conflict. The container name "/x" is already in use by container "bcb33fbe921a". You have to remove (or rename) that container to be able to reuse that name.'),
    ("no_rlimit", "unable to start container process: error during container init: error setting rlimits for ready process: error setting rlimit type 8: operation not permitted: unknown"),
    ("docker_version", "Error response from daemon: client version 1.10 is too old. Minimum supported API version is 1.12, please upgrade your client to a newer version"),
    ("compose_missing", "docker: unknown command: docker compose"),
    ("no_addresses", "Error response from daemon: Pool overlaps with other one on this address space"),
    ("compose_file", "validating /c/compose.yaml: services.a Additional property comand is not allowed"),
    ("compose_file", "yaml: line 2: did not find expected node content"),
    ("compose_file", 'service "a" refers to undefined volume vol: invalid compose project'),
    # llama-server b11312
    ("bad_flag", "error: invalid argument: --no-such-flag"),
    ("bad_flag", 'error while handling argument "-c": stoi'),
    ("weights_missing", "0.00.018.375 E gguf_init_from_file: failed to open GGUF file '/m/none.gguf' (No such file or directory)\nE llama_model_load: error loading model: llama_model_loader: failed to load model from /m/none.gguf"),
    ("gguf_damaged", "0.00.011.569 E gguf_init_from_reader: invalid magic characters: '??c?', expected 'GGUF'"),
    ("gguf_damaged", "0.00.013.826 E gguf_init_from_reader: invalid magic characters: 'vers', expected 'GGUF'"),
    ("gguf_damaged", "E llama_model_load: error loading model: tensor 'token_embd.weight' data is not within the file bounds, model is corrupted or incomplete"),
    ("port_taken", "0.00.024.307 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 18091"),
    ("wrong_key", '{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}'),
    ("ubatch_too_small", '{"error":{"code":500,"message":"input (202 tokens) is too large to process. increase the physical batch size (current batch size: 128)","type":"server_error"}}'),
    ("build_incomplete", "llama-server: error while loading shared libraries: libllama-server-impl.so: cannot open shared object file: No such file or directory"),
    # vLLM 0.32.0 for the CPU
    ("bad_flag", "vllm: error: unrecognized arguments: --task embed\n\nHint: --task is not a vllm serve option. For embedding, reranking, or reward models, use --runner pooling."),
    ("weights_missing", "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/none'. Use `repo_type` argument if needed."),
    # Chroma 1.5.9
    ("port_taken", "Address 127.0.0.1:18096 is not available"),
    ("dimension_changed", '{"error":"InvalidArgumentError","message":"Collection expecting embedding with dimension of 3, got 4"}'),
    ("collection_gone", '{"error":"NotFoundError","message":"Collection [00000000-0000-0000-0000-000000000000] does not exist."}'),
    ("chroma_pair", '{"error":"Unimplemented","message":"The v1 API is deprecated. Please use /v2 apis"}'),
    ("reset_off", '{"error":"ChromaError","message":"Reset is disabled by config"}'),
    ("database_damaged", 'Error creating Frontend Config: SqlxError(Database(SqliteError { code: 26, message: "file is not a database" }))'),
    ("disk_full", 'Error creating Frontend Config: SqlxError(Database(SqliteError { code: 13, message: "database or disk is full" }))'),
    ("read_only", 'Error creating Frontend Config: PathError(Os { code: 30, kind: ReadOnlyFilesystem, message: "Read-only file system" })'),
    ("bad_flag", "error: unexpected argument '--prot' found\n\n  tip: a similar argument exists: '--port'"),
]  # fmt: skip
"""Each provoked with the real program, and written down as it came (names and paths shortened)."""
REPORTED = [
    ("credential_helper", 'error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH, out: ``'),
    ("not_a_registry", 'Get "https://registry.example/v2/": http: server gave HTTP response to HTTPS client'),
    ("registry_unreachable", 'Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout'),
    ("registry_login", "pull access denied for team/x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"),
    ("no_addresses", "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"),
    ("iptables_lost", "driver failed programming external connectivity on endpoint x: (iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 3000 -j DNAT: iptables: No chain/target/match by that name.)"),
    ("compose_missing", "docker: 'compose' is not a docker command."),
    ("no_device_found", "RuntimeError: Failed to infer device type"),
    ("not_a_number", "failed to encode response: json: unsupported value: NaN"),
    ("not_an_embedder", "this model does not support embeddings"),
    ("wrong_model", "model 'qwen3-embedding:4b' not found, try pulling it first"),
    ("no_name_resolution", "httpx.ConnectError: [Errno -3] Temporary failure in name resolution"),
    ("gpu_out_of_memory", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 11.63 GiB of which 310.00 MiB is free."),
    ("gpu_out_of_memory", "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 3100.00 MiB on device 0: cudaMalloc failed: out of memory"),
    ("gpu_out_of_memory", "llama-server process has terminated: CUDA error: out of memory"),
    ("no_bfloat16", "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5."),
    ("no_kernel_for_card", "RuntimeError: CUDA error: no kernel image is available for execution on the device"),
    ("driver_too_old", "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.9, please update your driver to a newer version"),
    ("driver_mismatch", "Failed to initialize NVML: Driver/library version mismatch"),
    ("gpu_lost_in_container", "Failed to initialize NVML: Unknown Error"),
    ("no_driver", "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory"),
    ("no_driver", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."),
    ("gpu_fault", "NVRM: Xid (PCI:0000:01:00): 79, pid=1234, GPU has fallen off the bus."),
    ("no_cuda_library", "llama-server: error while loading shared libraries: libcuda.so.1: cannot open shared object file: No such file or directory"),
    ("architecture_unknown", "llama_model_load: error loading model: error loading model architecture: unknown model architecture: 'jina-v5'"),
    ("gguf_damaged", "gguf_init_from_file_impl: invalid magic characters: 'vers', expected 'GGUF'"),
    ("gguf_damaged", "llama_model_load: error loading model: tensor 'blk.5.ffn_up.weight' data is not within the file bounds, model is corrupted or incomplete"),
    ("weights_damaged", "safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer"),
    ("input_too_long", "the input length exceeds the context length"),
    ("ollama_too_old", "Error: pull model manifest: 412: The model you are attempting to pull requires a newer version of Ollama."),
    ("ollama_no_such_model", "pull model manifest: file does not exist"),
    ("out_of_memory", "model requires more system memory (9.3 GiB) than is available (6.1 GiB)"),
    ("ollama_runner_died", "llama runner process has terminated: signal: aborted (core dumped)"),
    ("out_of_memory", "Out of memory: Killed process 4211 (VLLM::EngineCor) total-vm:18874368kB, anon-rss:9437184kB"),
    ("out_of_memory", "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-ab"),
    ("out_of_memory", "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 1589673984 bytes."),
    ("killed", "worker ended: signal: killed"),
    ("shared_memory", "OSError: [Errno 28] No space left on device: '/dev/shm/psm_5ae1'"),
    ("disk_full", "sqlite3.OperationalError: database or disk is full"),
    ("bad_flag", "vllm: error: unrecognized arguments: --task embed"),
    ("bad_flag", "error: invalid argument: --no-such-flag"),
    ("bad_flag", "error: unexpected argument '--prot' found"),
    ("port_taken", "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8080): address already in use"),
    ("port_taken", "Error: Address 127.0.0.1:8000 is not available. Address already in use (os error 98)"),
    ("docker_permission", "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"),
    ("docker_not_running", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    ("rate_limited", "toomanyrequests: You have reached your unauthenticated pull rate limit."),
    ("wrong_hash", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
    ("torch_cpu_missing", "ERROR: No matching distribution found for torch==2.13.0+cpu"),
    ("package_missing", "ERROR: Could not find a version that satisfies the requirement chromadb==1.5.9 (from versions: none)"),
    ("wrong_python", "ERROR: x-1-cp311-cp311-linux_x86_64.whl is not a supported wheel on this platform."),
    ("no_compiler", "CMake Error: CMAKE_CXX_COMPILER not set\nNo CMAKE_CXX_COMPILER could be found."),
    ("hub_gated", "OSError: You are trying to access a gated repo. huggingface_hub.errors.GatedRepoError: 401 Client Error."),
    ("hub_unreachable", "OSError: We couldn't connect to 'https://huggingface.co' to load the files"),
    ("chroma_pair", "KeyError: '_type'"),
    ("wrong_cpu", "Illegal instruction (core dumped)"),
    ("permission", "PermissionError: [Errno 13] Permission denied: '/data/chroma.sqlite3'"),
    ("read_only", "OSError: [Errno 30] Read-only file system: '/data'"),
    ("cannot_start", "INFO gave up: webui entered FATAL state, too many start retries too quickly"),
    ("library_missing_numa", "OSError: libnuma.so.1: cannot open shared object file: No such file or directory"),
    ("hub_no_such_repository", "OSError: maker/gone is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'"),
    ("database_damaged", "sqlite3.DatabaseError: database disk image is malformed"),
    ("batch_below_length", "ValueError: max_num_batched_tokens (2048) is smaller than max_model_len (8192)."),
    ("needs_remote_code", "contains custom code which must be executed to correctly load the model. Please pass the argument `trust_remote_code=True`"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text"), [*MEASURED, *MADE_HERE, *REPORTED])
def test_each_text_has_its_cause(code, text):
    log = f"INFO starting\n{text}\nRuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {{}}\n"
    cause = match_cause(log)
    assert cause is not None
    assert cause.code == code
    assert cause.cause
    assert cause.remedy


@pytest.mark.parametrize(
    "log",
    [
        "",
        "WARNING 11-28 19:32:02 [system_utils.py:255] Found ulimit of 20000 and failed to automatically increase with error current limit exceeds maximum limit. This can cause fd limit errors like `OSError: [Errno 24] Too many open files`. Consider increasing with ulimit -n",
        "INFO:     Started server process [4211]\nINFO:     Application startup complete.",
        "WARNING libtcmalloc is not found in LD_PRELOAD. For best performance, please follow the docs",
        "WARNING To make v1/embeddings API fast, please install orjson by `pip install orjson`",
        "RuntimeWarning: Couldn't find ffmpeg or avconv - defaulting to ffmpeg, but may not work",
        "Listening on 127.0.0.1:8002",
        "CPU KV cache size: 524,288 tokens, Maximum concurrency for 8,192 tokens per request: 64.00x",
        "security: no API key is set and CORS allows all origins",
        "embeddings enabled with n_batch (2048) > n_ubatch (512)",
    ],
)
def test_a_healthy_log_has_no_cause(log):
    assert match_cause(log) is None


def test_every_rule_is_reached_by_a_text():
    reached = {match_cause(text).code for _, text in [*MEASURED, *MADE_HERE, *REPORTED]}
    assert {rule.cause.code for rule in RULES} == reached


def test_codes_are_words_and_commands_are_whole():
    for rule in RULES:
        assert re.fullmatch(r"[a-z0-9_]+", rule.cause.code)
        assert all(command and not command.endswith(" ") for command in rule.cause.commands)
