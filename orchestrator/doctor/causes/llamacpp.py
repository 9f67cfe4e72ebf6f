"""What llama.cpp's llama-server says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"couldn't bind HTTP server socket",
        "port_taken",
        "another program listens on the port of the embedding server",
        "stop it, or take another port; the next `up` names the holder and a free one",
        "orchestrator up",
    ),
    rule(
        r"failed to open GGUF file '.*' \(No such file",
        "weights_missing",
        "the folder or file of the model is not where the server was told",
        "fetch the weights again; the next `up` does",
        "orchestrator up",
    ),
    rule(
        r"is larger than the max context size \(\d+ tokens\)|exceed_context_size_error",
        "input_too_long",
        "a text is longer than the longest input that was planned",
        "use smaller chunks, or plan a longer input",
        "orchestrator up --replan --max-length 8192",
    ),
    rule(
        r"error while loading shared libraries: lib(?:llama|ggml|mtmd)",
        "build_incomplete",
        "the built llama-server lacks a library of its own",
        "remove the build; the next `up` builds it whole",
        'rm -r "$ORCHESTRATOR_HOME"/environments/llamacpp-*',
    ),
    rule(
        r"the current context does not support logits computation",
        "chat_on_embedder",
        "somebody asks the embedding server to chat",
        "take its address out of Open WebUI's chat connections; embeddings have a setting of their own",
        "orchestrator wire",
    ),
    rule(
        r'"message": ?"Invalid API Key"',
        "wrong_key",
        "a client asks the embedding server with another key, or with none",
        "hand out the stack's key again",
        "orchestrator wire",
    ),
    rule(
        r"is too large to process\. increase the physical batch size",
        "ubatch_too_small",
        "an input is longer than llama.cpp's physical batch, so it is refused",
        "plan the length that you need: the batch follows it",
        "orchestrator up --replan --max-length 2048",
    ),
    rule(
        r"unknown model architecture",
        "architecture_unknown",
        "this build of llama.cpp does not know the model's architecture",
        "choose another model, or serve it with vLLM",
        "orchestrator up --replan --backend vllm",
    ),
    rule(
        r"invalid magic characters|failed to read magic|gguf_init_from_file.*failed|"
        r"tensor .* data is not within the file bounds|model is corrupted or incomplete",
        "gguf_damaged",
        "the GGUF file is damaged, cut off, or no GGUF file",
        "remove it and fetch it again",
    ),
    rule(
        r"error while loading shared libraries: libcud|libcuda\.so\.1: cannot open shared object|libcudart\.so",
        "no_cuda_library",
        "a CUDA build runs where the driver's libraries are not to be seen",
        "install the driver, give the container the GPU, or plan for the CPU",
        "orchestrator up --replan --gpu none",
    ),
)
