"""What Ollama says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"the input length exceeds the context length|input exceeds maximum context length",
        "input_too_long",
        "a text is longer than the model's context",
        "use smaller chunks, or plan a longer input",
        "orchestrator up --replan --max-length 8192",
    ),
    rule(
        r"requires a newer version of Ollama",
        "ollama_too_old",
        "this Ollama is older than the model needs",
        "install a newer one, or use the pinned image",
    ),
    rule(
        r"model requires more system memory \(|requires more system memory than is available",
        "out_of_memory",
        "Ollama found too little RAM for the model",
        "close other programs, or plan a smaller model",
        "orchestrator up --replan --model auto",
    ),
    rule(
        r"pull model manifest: (?:.*)file does not exist",
        "ollama_no_such_model",
        "Ollama's registry has no model of this name and tag",
        "check the tag in Ollama's library, or give a local GGUF file",
        "orchestrator up --replan --model PATH",
    ),
    rule(
        r"llama(?:-?server| runner) process (?:no longer running|has terminated)",
        "ollama_runner_died",
        "the process that holds the model inside Ollama died",
        "read the lines above it; most often memory: plan a smaller model or a shorter input",
        "orchestrator up --replan --max-length 2048",
    ),
    rule(
        r"json: unsupported value: NaN",
        "not_a_number",
        "the model makes vectors that are no numbers: 16-bit floats overflow in models trained in bfloat16",
        "use another quantisation (Q8_0), or bfloat16 on a card that has it",
        "orchestrator up --replan --backend llamacpp",
    ),
    rule(
        r"does not support embeddings",
        "not_an_embedder",
        "what is asked for vectors is a model that makes none",
        "plan an embedding model",
        "orchestrator up --replan --model auto",
    ),
    rule(
        r"""model ['"][^'"]+['"] not found, try pulling it first""",
        "wrong_model",
        "a client asks for a model of another name than the server has",
        "set it to the planned model again",
        "orchestrator wire",
    ),
)
