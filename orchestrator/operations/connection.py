"""How a program reaches a stack: URLs and keys under the names that clients read from their environment."""

from __future__ import annotations

from orchestrator.operations.secrets import NAMES, read_secrets
from orchestrator.operations.stack import Stack
from orchestrator.plan.records import Role

FOR_CLIENTS: dict[Role, tuple[str, ...]] = {
    "embeddings": ("EMBEDDINGS_API_KEY",),
    "vectors": (),
    "webui": ("WEBUI_API_KEY", "WEBUI_ADMIN_EMAIL", "WEBUI_ADMIN_PASSWORD"),
}
"""Which of the stack's credentials a client of the role needs."""


def addresses(stack: Stack) -> dict[str, str]:
    """Nothing secret: what a pipeline may print and pass on."""
    plan = stack.plan
    found = {
        "ORCHESTRATOR_STACK_NAME": plan.stack,
        "EMBEDDINGS_URL": stack.url("embeddings"),
        "EMBEDDINGS_MODEL": plan.served_name,
        "EMBEDDINGS_DIMENSION": str(plan.dimension),
        "OPENAI_BASE_URL": f"{stack.url('embeddings')}/v1",
    }
    if stack.has("webui"):
        found["WEBUI_URL"] = stack.url("webui")
    if stack.has("vectors"):
        found["CHROMA_URL"] = stack.url("vectors")
    return found


def connection(stack: Stack) -> dict[str, str]:
    """Addresses and keys. `--stack` reads ORCHESTRATOR_STACK_NAME, so `orchestrator` inside speaks of this stack."""
    secrets = read_secrets(stack.folder)
    wanted = [name for role in stack.plan.roles for name in FOR_CLIENTS[role]]
    keys = {name: secrets[NAMES[name]] for name in wanted if secrets.get(NAMES[name])}
    # The servers that need no key ignore it; the clients of OpenAI's API insist on one.
    return {**addresses(stack), **keys, "OPENAI_API_KEY": keys["EMBEDDINGS_API_KEY"]}
