"""The settings of Open WebUI that are ours: what the plan wants, what is set, what differs. Pure.

Everything else in Open WebUI belongs to its users and is never touched.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.plan.records import Plan


class Concealed(str):
    """A secret that does not show itself in a repr, a traceback or a log."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """In Open WebUI's own terms."""

    embedding_engine: str
    embedding_model: str
    embedding_batch_size: int
    embedding_async: bool
    embedding_concurrent_requests: int
    embedding_url: str
    """With `/v1`, without a trailing slash, as Open WebUI reaches the embedding server."""
    embedding_key: Concealed
    text_splitter: str
    chunk_size: int
    chunk_overlap: int
    top_k: int
    bypass_embedding: bool
    """True would store files without vectors."""
    enable_signup: bool
    enable_api_keys: bool


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that is not as the plan wants it, in words that may be printed."""

    field: str
    want: str
    have: str

    def __str__(self) -> str:
        return f"{self.field}: want {self.want}, have {self.have}"


EMBEDDING_FIELDS = frozenset(name for name in Settings.__struct_fields__ if name.startswith("embedding_"))
RETRIEVAL_FIELDS = {
    "text_splitter": "TEXT_SPLITTER",
    "chunk_size": "CHUNK_SIZE",
    "chunk_overlap": "CHUNK_OVERLAP",
    "top_k": "TOP_K",
    "bypass_embedding": "BYPASS_EMBEDDING_AND_RETRIEVAL",
}
ADMIN_FIELDS = {"enable_signup": "ENABLE_SIGNUP", "enable_api_keys": "ENABLE_API_KEYS"}
CHARACTER_SPLITTER = ""
"""Our sizes are in characters; the token splitters would read the same numbers as tokens and overrun the model."""


def desired_settings(plan: Plan, embeddings_url: str, embeddings_key: str) -> Settings:
    """`embeddings_url`: as Open WebUI reaches it, without `/v1` (`Place.url_of`).

    The engine is `openai` for every backend, Ollama's too: with `ollama` Open WebUI sends `truncate: true` (facts 11).
    """
    return Settings(
        embedding_engine="openai",
        embedding_model=plan.served_name,
        embedding_batch_size=plan.retrieval.embedding_batch_size,
        embedding_async=True,
        embedding_concurrent_requests=plan.retrieval.concurrent_requests,
        embedding_url=f"{embeddings_url.rstrip('/')}/v1",
        embedding_key=Concealed(embeddings_key),
        text_splitter=CHARACTER_SPLITTER,
        chunk_size=plan.retrieval.chunk_size,
        chunk_overlap=plan.retrieval.chunk_overlap,
        top_k=plan.retrieval.top_k,
        bypass_embedding=False,
        enable_signup=False,
        enable_api_keys=True,
    )


def settings_from(embedding: dict[str, Any], retrieval: dict[str, Any], admin: dict[str, Any]) -> Settings:
    """From the three answers of Open WebUI. Values keep whatever was set, also the impossible (batch null, size 0)."""
    connection = embedding.get("openai_config") or {}
    return Settings(
        embedding_engine=embedding.get("RAG_EMBEDDING_ENGINE", ""),
        embedding_model=embedding.get("RAG_EMBEDDING_MODEL", ""),
        embedding_batch_size=embedding.get("RAG_EMBEDDING_BATCH_SIZE", 0),
        embedding_async=embedding.get("ENABLE_ASYNC_EMBEDDING", False),
        embedding_concurrent_requests=embedding.get("RAG_EMBEDDING_CONCURRENT_REQUESTS", 0),
        embedding_url=connection.get("url") or "",
        embedding_key=Concealed(connection.get("key") or ""),
        text_splitter=_splitter(retrieval.get("TEXT_SPLITTER")),
        chunk_size=retrieval.get("CHUNK_SIZE", 0),
        chunk_overlap=retrieval.get("CHUNK_OVERLAP", 0),
        top_k=retrieval.get("TOP_K", 0),
        bypass_embedding=bool(retrieval.get("BYPASS_EMBEDDING_AND_RETRIEVAL")),
        enable_signup=bool(admin.get("ENABLE_SIGNUP")),
        enable_api_keys=bool(admin.get("ENABLE_API_KEYS")),
    )


def differences(desired: Settings, actual: Settings) -> tuple[Difference, ...]:
    return tuple(
        Difference(field=name, want=_shown(name, getattr(desired, name)), have=_shown(name, getattr(actual, name)))
        for name in Settings.__struct_fields__
        if getattr(desired, name) != getattr(actual, name)
    )


def embedding_body(desired: Settings) -> dict[str, Any]:
    """Always complete: an update resets what it omits of batch, async and concurrency to 1, true, 0 (facts 7.1)."""
    return {
        "RAG_EMBEDDING_ENGINE": desired.embedding_engine,
        "RAG_EMBEDDING_MODEL": desired.embedding_model,
        "RAG_EMBEDDING_BATCH_SIZE": desired.embedding_batch_size,
        "ENABLE_ASYNC_EMBEDDING": desired.embedding_async,
        "RAG_EMBEDDING_CONCURRENT_REQUESTS": desired.embedding_concurrent_requests,
        "openai_config": {"url": desired.embedding_url, "key": str(desired.embedding_key)},
    }


def retrieval_body(desired: Settings, changed: frozenset[str]) -> dict[str, Any]:
    """Only what differs; size and overlap go together, for one without the other can be an impossible pair."""
    fields = changed & RETRIEVAL_FIELDS.keys()
    if fields & {"chunk_size", "chunk_overlap"}:
        fields |= {"chunk_size", "chunk_overlap"}
    return {RETRIEVAL_FIELDS[name]: getattr(desired, name) for name in sorted(fields)}


def admin_body(desired: Settings, current: dict[str, Any]) -> dict[str, Any]:
    """The whole object as it stands, with ours in it: this update takes nothing less.

    Except the settings of two-factor sign-in: omitted they are kept, and sent they want a person's session (403 to an
    API key, measured on 0.12.4).
    """
    kept = {key: value for key, value in current.items() if "MFA" not in key}
    return {**kept, **{key: getattr(desired, name) for name, key in ADMIN_FIELDS.items()}}


def _splitter(value: object) -> str:
    """`character` is another name of the default."""
    return "" if value in {None, "", "character"} else str(value)


def _shown(name: str, value: object) -> str:
    if name != "embedding_key":
        return repr(value)
    return "a key" if value else "no key"
