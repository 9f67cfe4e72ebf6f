"""A stand-in for the Hugging Face hub: only the requests that our fetch really makes (huggingface_hub 2.4).

It shows how our side asks, resumes, checks and reports; it says nothing about the real hub.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
LFS_FROM_BYTES = 100_000


class StandInHub:
    """`files` are what it lists; `served` overrides what it really sends; `refusal` answers everything with that."""

    def __init__(self, repository: str, files: dict[str, bytes]) -> None:
        self.repository = repository
        self.files = files
        self.served: dict[str, bytes] = {}
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.token: str | None = None
        self.resumable = True
        self.break_after: dict[str, int] = {}
        """File → bytes after which its first transfer breaks off."""
        self.requests: list[tuple[str, str, str | None]] = []
        """method, path, Range."""
        self.url = ""

    def sent_bytes(self, path: str) -> list[str | None]:
        return [asked for method, at, asked in self.requests if method == "GET" and at.endswith(path)]

    def listing(self) -> dict[str, object]:
        siblings = []
        for path, content in self.files.items():
            entry: dict[str, object] = {"rfilename": path, "size": len(content)}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            if len(content) >= LFS_FROM_BYTES:
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        return {"id": self.repository, "modelId": self.repository, "sha": COMMIT, "siblings": siblings}


@contextmanager
def running(hub: StandInHub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if hub.refusal and (hub.token is None or self.headers.get("Authorization") != f"Bearer {hub.token}"):
                return self._answer(hub.refusal[0], b'{"error":"refused"}', hub.refusal[1])
            if re.fullmatch(rf"/api/models/{hub.repository}(/revision/[^/]+)?", path):
                revision = path.rpartition("/revision/")[2] if "/revision/" in path else "main"
                if revision not in ("main", COMMIT):
                    return self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return self._answer(200, json.dumps(hub.listing()).encode(), {"Content-Type": "application/json"})
            resolved = re.fullmatch(rf"/{hub.repository}/resolve/(main|{COMMIT})/(.+)", path)
            if resolved and resolved[2] in hub.files:
                return self._file(resolved[2])
            return self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _file(self, name: str) -> None:
            content = hub.served.get(name, hub.files[name])
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "") if hub.resumable else None
            start, last = (int(asked[1]), int(asked[2] or len(content))) if asked else (0, len(content))
            body = content[start : last + 1]
            partial = len(body) < len(content)
            headers = {"Content-Range": f"bytes {start}-{start + len(body) - 1}/{len(content)}"} if partial else {}
            limit = hub.break_after.pop(name, None)
            if limit is None:
                return self._answer(206 if partial else 200, body, headers)
            self._answer(206 if partial else 200, body, headers, only=limit)
            self.close_connection = True
            self.connection.close()
            return None

        def _answer(self, status: int, body: bytes, headers: dict[str, str], only: int | None = None) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[:only])
                self.wfile.flush()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
