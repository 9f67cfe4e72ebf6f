"""ChromaDB's v2 HTTP interface, as far as checks need it. It has no authentication (facts 2)."""

from __future__ import annotations

from typing import Any

import msgspec

from orchestrator.clients.http import Http

DATABASE = "/api/v2/tenants/default_tenant/databases/default_database"
PAGE = 1000
SERVER_VERSION = "1.0.0"
"""What the pinned chromadb 1.5.9 answers at /api/v2/version (measured): the version of its server, not of the package.
"""


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    dimension: int | None
    """None until the first vector is stored."""
    metadata: dict[str, Any] = {}


class Item(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    document: str = ""
    metadata: dict[str, Any] = {}
    embedding: tuple[float, ...] = ()


class ChromaClient:
    def __init__(self, base_url: str, timeout_s: float = 30.0) -> None:
        self._http = Http("vectors", base_url, timeout_s=timeout_s)
        self.base_url = self._http.base_url

    def heartbeat(self) -> bool:
        answer = self._http.call("GET", "/api/v2/heartbeat", timeout_s=5.0)
        return answer.ok and "nanosecond heartbeat" in (answer.body or ())

    def version(self) -> str:
        return str(self._http.ask("GET", "/api/v2/version", timeout_s=5.0))

    def old_version(self) -> str | None:
        """Of a server from before API v2 (0.5 and older); None where none answers. 1.x answers 410 there."""
        answer = self._http.call("GET", "/api/v1/version", timeout_s=5.0)
        return str(answer.body) if answer.ok and answer.body else None

    def collections(self) -> tuple[Collection, ...]:
        found: list[Collection] = []
        while True:
            query = {"limit": PAGE, "offset": len(found)}
            page = self._http.ask("GET", f"{DATABASE}/collections", query=query)
            found.extend(_collection(entry) for entry in page)
            if len(page) < PAGE:
                return tuple(found)

    def collection(self, name: str) -> Collection | None:
        answer = self._http.call("GET", f"{DATABASE}/collections/{name}")
        if answer.status == 404:
            return None
        if not answer.ok:
            raise self._http.refused("GET", f"{DATABASE}/collections/{name}", answer)
        return _collection(answer.body)

    def count(self, collection_id: str) -> int:
        return int(self._http.ask("GET", f"{DATABASE}/collections/{collection_id}/count"))

    def items(
        self,
        collection_id: str,
        *,
        limit: int,
        where: dict[str, Any] | None = None,
        ids: tuple[str, ...] = (),
    ) -> tuple[Item, ...]:
        body: dict[str, Any] = {"limit": limit, "include": ["documents", "metadatas", "embeddings"]}
        if where is not None:
            body["where"] = where
        if ids:
            body["ids"] = list(ids)
        answer = self._http.ask("POST", f"{DATABASE}/collections/{collection_id}/get", body=body)
        return tuple(
            Item(id=key, document=document or "", metadata=metadata or {}, embedding=tuple(embedding or ()))
            for key, document, metadata, embedding in zip(
                answer["ids"], answer["documents"], answer["metadatas"], answer["embeddings"], strict=True
            )
        )

    def remove_collection(self, name: str) -> bool:
        """True where there was one."""
        answer = self._http.call("DELETE", f"{DATABASE}/collections/{name}")
        if answer.status == 404:
            return False
        if not answer.ok:
            raise self._http.refused("DELETE", f"{DATABASE}/collections/{name}", answer)
        return True

    def close(self) -> None:
        self._http.close()


def _collection(entry: dict[str, Any]) -> Collection:
    return Collection(
        id=entry["id"], name=entry["name"], dimension=entry.get("dimension"), metadata=entry.get("metadata") or {}
    )
