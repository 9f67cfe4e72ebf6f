"""Every key of a configuration: one row each, for the file, the environment, the schema, `init` and the docs.

A test holds the rows and the Spec's fields together.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.configuration.kinds import (
    Address,
    Card,
    Choice,
    Kind,
    ModelName,
    Number,
    Rate,
    Several,
    Size,
    StackName,
    Text,
)

FILE_NAME = "orchestrator.yaml"
PORT = Number(1, 65535)
PLAN = "decided by the plan"


class Key(msgspec.Struct, frozen=True):
    path: str
    """Dotted: `ports.webui` is `webui` below `ports`."""
    kind: Kind
    summary: str
    example: Any
    unset: str = ""
    """What holds where nobody sets it and the Spec's own default does not say so."""
    flag: str = ""

    @property
    def variable(self) -> str:
        """`ORCHESTRATOR_STACK` marks the processes of a stack (engines/leftovers.py), so `stack` has another one."""
        return "ORCHESTRATOR_" + ("STACK_NAME" if self.path == "stack" else self.path.upper().replace(".", "_"))


KEYS: tuple[Key, ...] = (
    Key(
        "stack",
        StackName(),
        "The stack's name; each has its own services and data.",
        "team-search",
        flag="--stack",
    ),
    Key("services", Several(("embeddings", "vectors", "webui")), "What the stack consists of.", ["embeddings"]),
    Key("model", ModelName(), "The embedding model.", "qwen3-embedding-0.6b", PLAN, "--model"),
    Key("backend", Choice(("auto", "vllm", "ollama", "llamacpp")), "The embedding server.", "vllm", flag="--backend"),
    Key("engine", Choice(("auto", "compose", "native")), "What runs the services.", "native", flag="--engine"),
    Key("gpu", Card(), "The card to plan for; `none` is the CPU.", "0", PLAN, "--gpu"),
    Key("vram_bytes", Size(), "Plan as if the card had this much free.", "11GiB", "read from the card", "--vram"),
    Key(
        "dtype",
        Text("bfloat16, float16, float32, or a quantisation"),
        "What the weights are computed in.",
        "float16",
        PLAN,
        "--dtype",
    ),
    Key("max_length", Number(16), "Longest input in tokens.", 2048, PLAN, "--max-length"),
    Key("batched_tokens", Number(16), "Tokens per forward pass.", 8192, PLAN, "--batched-tokens"),
    Key("dimension", Number(1), "Cut vectors to this size (Matryoshka models).", 512, "the model's own", "--dimension"),
    Key("listen", Address(), "Address that Open WebUI is published on.", "0.0.0.0", flag="--listen"),  # noqa: S104
    Key("ports.webui", PORT, "Open WebUI's port on the host.", 3001, "3000", "--port webui="),
    Key("ports.embeddings", PORT, "The embedding server's port on the host.", 8101, "8001", "--port embeddings="),
    Key("ports.vectors", PORT, "ChromaDB's port on the host.", 8102, "8002", "--port vectors="),
    Key(
        "task",
        Text(),
        "The instruction put before queries (instructed models).",
        "Find the article that answers",
        flag="--task",
    ),
    Key("retrieval.chunk_size", Number(1), "Characters per chunk that Open WebUI cuts.", 800),
    Key("retrieval.chunk_overlap", Number(0), "Characters that neighbouring chunks share.", 80),
    Key("retrieval.top_k", Number(1), "Chunks given to the chat model.", 8),
    Key("retrieval.embedding_batch_size", Number(1), "Chunks per embedding request.", 64),
    Key("retrieval.concurrent_requests", Number(1), "Embedding requests in flight during an ingest.", 8),
    Key("retrieval.request_timeout_s", Number(1), "Seconds that one embedding request may take.", 600),
    Key("retrieval.ingest_timeout_s", Number(1), "Seconds that one file's ingest may take.", 7200),
    Key(
        "target.docs_per_s",
        Rate(),
        "Documents per second that `plan` judges and `bench` measures against.",
        200,
        flag="--docs-per-s",
    ),
    Key("target.tokens_per_doc", Number(1), "Tokens per document for the target.", 128, flag="--tokens-per-doc"),
)
BY_PATH = {key.path: key for key in KEYS}
SECTIONS = tuple(dict.fromkeys(key.path.partition(".")[0] for key in KEYS if "." in key.path))


def nearest_key(written: str, section: str = "") -> str | None:
    """The right key for a wrong one: `modle` → model, `webui` → ports.webui, `max-length` → max_length."""
    from difflib import get_close_matches

    names: dict[str, str] = {path.rpartition(".")[2]: path for path in BY_PATH}
    names |= {path: path for path in (*SECTIONS, *BY_PATH)}
    names |= {path.rpartition(".")[2]: path for path in BY_PATH if section and path.startswith(f"{section}.")}
    names |= {"vram": "vram_bytes", "port": "ports"}
    near = get_close_matches(written.replace("-", "_").lower(), list(names), n=1)
    return names[near[0]] if near else None
