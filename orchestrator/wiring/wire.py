"""Set Open WebUI as the plan wants it, through its API; read back; compare. The second run changes nothing."""

from __future__ import annotations

import msgspec

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Progress
from orchestrator.wiring.admin import Admin, obtain_api_key, open_session
from orchestrator.wiring.settings import (
    ADMIN_FIELDS,
    EMBEDDING_FIELDS,
    Difference,
    Settings,
    admin_body,
    differences,
    embedding_body,
    retrieval_body,
    settings_from,
)


class WireReport(msgspec.Struct, frozen=True, kw_only=True):
    changed: tuple[Difference, ...]
    """What was set, as it was found. Empty on a wired stack."""
    api_key: str
    """For the stack's secrets (WEBUI_API_KEY)."""
    api_key_is_new: bool
    embedding_changed: bool
    """The model, its engine or its address was another one: old vectors may not fit (`stale_collections`)."""

    def __repr__(self) -> str:
        return f"WireReport(changed={self.changed}, api_key_is_new={self.api_key_is_new})"


def wire(
    webui: WebUiClient, embeddings: EmbeddingsClient, desired: Settings, admin: Admin, progress: Progress
) -> WireReport:
    """Refuses before it changes anything when the embedding server does not do its part: Open WebUI itself accepts a
    dead URL, a wrong path and an unknown model with 200 (facts 7.1), and fails at the first upload."""
    progress.step("signing in to Open WebUI")
    open_session(webui, admin)
    progress.step("asking the embedding server, from here and from Open WebUI")
    require_embedder(embeddings)
    require_reachable(webui, desired)
    progress.step("comparing Open WebUI's settings with the plan")
    changed = differences(desired, read_settings(webui))
    for difference in changed:
        progress.note(f"setting {difference}")
    apply_settings(webui, desired, changed)
    left = differences(desired, read_settings(webui))
    if left:
        raise OrchestratorError(
            "wire_not_kept",
            "Open WebUI answered 200 but did not keep: " + "; ".join(str(difference) for difference in left),
            remedy="orchestrator logs webui; another replica or another tool may be setting the same keys",
            evidence="; ".join(str(difference) for difference in left),
        )
    key = obtain_api_key(webui, admin.api_key)
    space = {"embedding_engine", "embedding_model"}
    return WireReport(
        changed=changed,
        api_key=key,
        api_key_is_new=key != admin.api_key,
        embedding_changed=any(difference.field in space for difference in changed),
    )


def read_settings(webui: WebUiClient) -> Settings:
    return settings_from(webui.embedding_settings(), webui.retrieval_settings(), webui.admin_settings())


def apply_settings(webui: WebUiClient, desired: Settings, changed: tuple[Difference, ...]) -> None:
    """One call per group that differs; a group that does not is left alone."""
    fields = frozenset(difference.field for difference in changed)
    if fields & EMBEDDING_FIELDS:
        webui.update_embedding_settings(embedding_body(desired))
    if body := retrieval_body(desired, fields):
        webui.update_retrieval_settings(body)
    if fields & ADMIN_FIELDS.keys():
        webui.update_admin_settings(admin_body(desired, webui.admin_settings()))


def require_embedder(embeddings: EmbeddingsClient) -> None:
    """One real embedding, from here."""
    try:
        embeddings.embed(["a first word"])
    except OrchestratorError as error:
        raise OrchestratorError(
            "embedder_not_usable",
            f"not wiring Open WebUI to an embedding server that does not embed: {error.message}",
            remedy="orchestrator status; orchestrator logs embeddings; then orchestrator wire",
            evidence=error.evidence,
        ) from error


def require_reachable(webui: WebUiClient, desired: Settings) -> None:
    """Open WebUI must reach the same server under the URL that it is going to get, and find the model there."""
    answer = webui.models_at(desired.embedding_url, desired.embedding_key)
    listed = answer.body.get("data") if answer.ok and isinstance(answer.body, dict) else None
    if not isinstance(listed, list):
        raise OrchestratorError(
            "embedder_not_reachable",
            f"Open WebUI does not reach the embedding server at {desired.embedding_url}: {answer.message}",
            remedy="the address must be one that Open WebUI's own host or container can reach; orchestrator status",
            evidence=f"POST /openai/verify url={desired.embedding_url} -> {answer.status} {answer.text[:300]}",
        )
    names = [str(entry.get("id", "")) for entry in listed if isinstance(entry, dict)]
    if not any(_same_model(desired.embedding_model, name) for name in names):
        raise OrchestratorError(
            "model_not_served",
            f"the embedding server at {desired.embedding_url} does not serve {desired.embedding_model}",
            remedy="orchestrator up starts the server with the plan's model",
            evidence=f"it lists: {', '.join(names) or 'nothing'}",
        )


def _same_model(wanted: str, listed: str) -> bool:
    """Ollama lists `name` as `name:latest`."""
    return listed in {wanted, f"{wanted}:latest"}
