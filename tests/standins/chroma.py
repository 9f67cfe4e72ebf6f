"""A stand-in for ChromaDB servers of other versions, and for what is none: only the paths that checks ask.

The pinned server is tested for real; of another one only its first answers matter.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS: dict[str, dict[str, object]] = {
    "pinned": {
        "/api/v2/heartbeat": {"nanosecond heartbeat": 1},
        "/api/v2/version": "1.0.0",
        "/api/v2/tenants/default_tenant/databases/default_database/collections": [],
    },
    "newer": {"/api/v2/heartbeat": {"nanosecond heartbeat": 1}, "/api/v2/version": "2.0.0"},
    # 0.5 and older: chromadb/server/fastapi of that time knows v1 alone.
    "older": {"/api/v1/heartbeat": {"nanosecond heartbeat": 1}, "/api/v1/version": "0.5.23"},
    "none": {},
}


@contextmanager
def chroma(kind: str) -> Iterator[str]:
    """The address of a server of that kind."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            return

        def do_GET(self) -> None:
            answer = ANSWERS[kind].get(self.path.partition("?")[0])
            content = json.dumps({"detail": "Not Found"} if answer is None else answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
