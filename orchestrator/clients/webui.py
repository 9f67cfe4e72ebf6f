"""Open WebUI's HTTP interface (0.12.4): sign-in, settings, files, knowledge bases, queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from orchestrator.clients.http import Answer, Http
from orchestrator.errors import OrchestratorError
from orchestrator.waiting import DeadlineError, wait_until

NOT_FOUND = 404
TOO_MANY = 429


class KnowledgeBase(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str


class File(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str


class Match(msgspec.Struct, frozen=True, kw_only=True):
    score: float | None
    """1 - cosine distance / 2 (facts 7.6): 1 is best, unrelated about 0.5."""
    document: str
    metadata: dict[str, Any] = {}


class WebUiClient:
    def __init__(self, base_url: str, timeout_s: float = 60.0, token: str = "") -> None:
        """`token`: a session's or an API key; `sign_in` sets a session's."""
        self._http = Http("webui", base_url, timeout_s=timeout_s, token=token)
        self.base_url = self._http.base_url

    # -- state and sign-in

    def ready(self) -> bool:
        """Says nothing about Chroma or the embedder: none of Open WebUI's health paths looks at them (facts 3)."""
        return self._http.call("GET", "/ready", timeout_s=5.0).ok

    def healthy(self) -> bool:
        """Answers from the event loop alone: how long it takes is how long the loop was held up."""
        return self._http.call("GET", "/health").ok

    def version(self) -> str:
        return str(self._http.ask("GET", "/api/version")["version"])

    def has_users(self) -> bool:
        return not self._http.ask("GET", "/api/config").get("onboarding", False)

    def sign_up(self, name: str, email: str, password: str) -> None:
        """The first user becomes the admin, and sign-up closes behind it."""
        body = {"name": name, "email": email, "password": password}
        self._http.with_token(self._http.ask("POST", "/api/v1/auths/signup", body=body)["token"])

    def sign_in(self, email: str, password: str) -> bool:
        """False for a wrong password or an unknown user (400, not 401: facts 6)."""
        answer = self._http.call("POST", "/api/v1/auths/signin", body={"email": email, "password": password})
        if answer.status in {400, 401}:
            return False
        if answer.status == TOO_MANY:
            raise OrchestratorError(
                "sign_in_limited",
                f"Open WebUI takes no more sign-ins of {email} for now: 15 in three minutes are its limit",
                remedy="wait three minutes, then: orchestrator wire",
                evidence=f"POST /api/v1/auths/signin -> {answer.status} {answer.message}",
            )
        if not answer.ok:
            raise self._http.refused("POST", "/api/v1/auths/signin", answer)
        self._http.with_token(answer.body["token"])
        return True

    def use(self, token: str) -> None:
        """Go on as the owner of this key or session."""
        self._http.with_token(token)

    def accepts(self, api_key: str) -> bool:
        """Whether this key opens an admin's path."""
        with Http("webui", self.base_url, timeout_s=30.0, token=api_key) as probe:
            return probe.call("GET", "/api/v1/retrieval/embedding").ok

    def api_key(self) -> str | None:
        """The signed-in user's own key, where there is one. Needs ENABLE_API_KEYS and a session (not a key)."""
        answer = self._http.call("GET", "/api/v1/auths/api_key")
        if answer.status == NOT_FOUND:
            return None
        if not answer.ok:
            raise self._http.refused("GET", "/api/v1/auths/api_key", answer)
        return str(answer.body["api_key"])

    def make_api_key(self) -> str:
        """A user has one key: making a new one ends the old one."""
        return str(self._http.ask("POST", "/api/v1/auths/api_key")["api_key"])

    # -- settings

    def embedding_settings(self) -> dict[str, Any]:
        return dict(self._http.ask("GET", "/api/v1/retrieval/embedding"))

    def update_embedding_settings(self, body: dict[str, Any]) -> None:
        """What `body` omits of batch, async and concurrency is reset to 1, true, 0 (facts 7.1)."""
        self._http.ask("POST", "/api/v1/retrieval/embedding/update", body=body)

    def retrieval_settings(self) -> dict[str, Any]:
        return dict(self._http.ask("GET", "/api/v1/retrieval/config"))

    def update_retrieval_settings(self, body: dict[str, Any]) -> None:
        """A partial body is enough here."""
        self._http.ask("POST", "/api/v1/retrieval/config/update", body=body)

    def admin_settings(self) -> dict[str, Any]:
        return dict(self._http.ask("GET", "/api/v1/auths/admin/config"))

    def update_admin_settings(self, body: dict[str, Any]) -> None:
        """Wants the whole object."""
        self._http.ask("POST", "/api/v1/auths/admin/config", body=body)

    def models_at(self, url: str, key: str) -> Answer:
        """What Open WebUI itself gets from `{url}/models`: the one call that shows a URL as it sees it."""
        answer = self._http.call("POST", "/openai/verify", body={"url": url, "key": key}, timeout_s=30.0)
        text = answer.text.replace(key, "***") if key else answer.text
        return Answer(status=answer.status, body=answer.body, text=text)

    # -- files

    def upload(self, name: str, content: bytes, content_type: str = "text/plain") -> File:
        """200 also where the processing will fail: follow with `wait_processed`."""
        body = self._http.ask("POST", "/api/v1/files/", files={"file": (name, content, content_type)})
        return File(id=body["id"], name=name)

    def wait_processed(self, file_id: str, deadline_s: float) -> float:
        """Seconds until the file's text is embedded. Raises `ingest_failed` with Open WebUI's own error text."""

        def refusal() -> str | None:
            status = self.file_status(file_id)
            if status == "failed":
                raise OrchestratorError(
                    "ingest_failed",
                    f"Open WebUI could not process an uploaded file: {self.file_error(file_id)}",
                    remedy="orchestrator logs webui; then orchestrator wire",
                    evidence=f"file {file_id}: {self.file_error(file_id)}",
                )
            return None if status == "completed" else f"file {file_id} is {status}"

        try:
            return wait_until(refusal, deadline_s)
        except DeadlineError as late:
            raise OrchestratorError(
                "ingest_timeout",
                f"Open WebUI did not finish a small file in {late.waited_s:.0f} s: {late.reason}",
                remedy="see what the embedding server does: orchestrator logs embeddings",
                evidence=late.reason,
            ) from late

    def file_status(self, file_id: str) -> str:
        """pending, completed or failed."""
        return str(self._http.ask("GET", f"/api/v1/files/{file_id}/process/status")["status"])

    def file_error(self, file_id: str) -> str:
        data = (self._http.ask("GET", f"/api/v1/files/{file_id}") or {}).get("data") or {}
        # An empty text is what RAG_EMBEDDING_TIMEOUT leaves (facts 8).
        return str(data.get("error", "")) or "no error text (the embedding time-out of the whole file leaves none)"

    def files(self, pattern: str) -> tuple[File, ...]:
        """Files whose name matches the pattern (`report-*.txt`), at most a thousand, newest first."""
        query: dict[str, str | int] = {"filename": pattern, "content": "false", "limit": 1000}
        answer = self._http.call("GET", "/api/v1/files/search", query=query)
        if answer.status == NOT_FOUND:  # what it answers when nothing matches
            return ()
        if not answer.ok:
            raise self._http.refused("GET", "/api/v1/files/search", answer)
        return tuple(File(id=entry["id"], name=entry["filename"]) for entry in answer.body)

    def remove_file(self, file_id: str) -> bool:
        """Leaves the collection `file-<id>` in Chroma (facts 10): the caller removes that. False if there was none."""
        return self._removed("DELETE", f"/api/v1/files/{file_id}")

    # -- knowledge bases

    def create_knowledge(self, name: str, description: str) -> KnowledgeBase:
        body = self._http.ask("POST", "/api/v1/knowledge/create", body={"name": name, "description": description})
        return KnowledgeBase(id=body["id"], name=name)

    def knowledge_bases(self, name_contains: str = "") -> tuple[KnowledgeBase, ...]:
        query: dict[str, str | int] = {"query": name_contains} if name_contains else {}
        pages = self._pages("/api/v1/knowledge/search", query)
        return tuple(KnowledgeBase(id=entry["id"], name=entry["name"]) for entry in pages)

    def knowledge_files(self, knowledge_id: str) -> tuple[File, ...]:
        pages = self._pages(f"/api/v1/knowledge/{knowledge_id}/files", {})
        return tuple(File(id=entry["id"], name=entry["filename"]) for entry in pages)

    def add_to_knowledge(self, knowledge_id: str, file_id: str, timeout_s: float) -> None:
        """Embeds the file a second time, before it answers. Twice with the same file doubles the vectors."""
        path = f"/api/v1/knowledge/{knowledge_id}/file/add"
        self._http.ask("POST", path, body={"file_id": file_id}, timeout_s=timeout_s)

    def remove_from_knowledge(self, knowledge_id: str, file_id: str) -> bool:
        """Removes the vectors, the file and its own collection (unless the server retains files by its settings)."""
        path = f"/api/v1/knowledge/{knowledge_id}/file/remove"
        return self._removed("POST", path, {"file_id": file_id})

    def remove_knowledge(self, knowledge_id: str) -> bool:
        return self._removed("DELETE", f"/api/v1/knowledge/{knowledge_id}/delete")

    def reindex_knowledge(self, timeout_s: float) -> None:
        """Deletes first, and answers true even if every embedding fails (facts 9): `wiring/reindex.py` guards it."""
        self._http.ask("POST", "/api/v1/knowledge/reindex", timeout_s=timeout_s)

    def reindex_metadata(self, timeout_s: float) -> tuple[int, int]:
        """(knowledge bases, of which succeeded)."""
        body = self._http.ask("POST", "/api/v1/knowledge/metadata/reindex", timeout_s=timeout_s)
        return int(body["total"]), int(body["success"])

    def query(self, collection: str, question: str, k: int) -> tuple[Match, ...]:
        """Best first. Empty is never "no match" by itself (facts 7.6): ask Chroma."""
        body = {"collection_names": [collection], "query": question, "k": k}
        answer = self._http.ask("POST", "/api/v1/retrieval/query/collection", body=body)
        if not answer or not answer.get("documents") or not answer["documents"][0]:
            return ()
        rows = zip(answer["distances"][0], answer["documents"][0], answer["metadatas"][0], strict=True)
        return tuple(Match(score=score, document=text, metadata=metadata or {}) for score, text, metadata in rows)

    def close(self) -> None:
        self._http.close()

    def _pages(self, path: str, query: dict[str, str | int]) -> Iterator[dict[str, Any]]:
        page, seen = 1, 0
        while True:
            body = self._http.ask("GET", path, query={**query, "page": page})
            yield from body["items"]
            seen += len(body["items"])
            if not body["items"] or seen >= body["total"]:
                return
            page += 1

    def _removed(self, method: str, path: str, body: object = None) -> bool:
        """Open WebUI answers 400 or 404 to what is already gone; the text tells a refusal apart."""
        answer = self._http.call(method, path, body=body)
        if answer.ok:
            return True
        if answer.status == NOT_FOUND or "find what you" in json.dumps(answer.body):
            return False
        raise self._http.refused(method, path, answer)
