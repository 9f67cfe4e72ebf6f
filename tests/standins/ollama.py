"""A stand-in for Ollama that replays exchanges (see recorded_ollama/README.md). A request that is in none is a 599."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RECORDED = Path(__file__).parent / "recorded_ollama"
NOT_RECORDED = 599


class Replay:
    def __init__(self, name: str, **filled: str) -> None:
        text = (RECORDED / f"{name}.json").read_text(encoding="utf-8")
        for key, value in filled.items():
            text = text.replace(f"{{{key}}}", value)
        self.answers: dict[tuple[str, str, str], list[dict]] = {}
        for exchange in json.loads(text):
            request = exchange["request"]
            key = (request["method"], request["path"], json.dumps(request.get("body"), sort_keys=True))
            self.answers.setdefault(key, []).append(exchange["answer"])
        self.asked: list[tuple[str, str, object]] = []
        self.uploaded = b""
        self.url = ""

    def paths(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.asked]

    def answer(self, method: str, path: str, body: object) -> dict:
        self.asked.append((method, path, body))
        waiting = self.answers.get((method, path, json.dumps(body, sort_keys=True)))
        if not waiting:
            return {"status": NOT_RECORDED, "body": {"error": f"not recorded: {method} {path} {json.dumps(body)}"}}
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def replaying(replay: Replay):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def _any(self) -> None:
            raw = self._read()
            if self.path.startswith("/api/blobs/") and self.command == "POST":
                replay.uploaded, body = raw, None
            else:
                body = json.loads(raw) if raw else None
            answer = replay.answer(self.command, self.path, body)
            lines = answer.get("lines")
            content = (
                "".join(json.dumps(line) + "\n" for line in lines) if lines else json.dumps(answer.get("body", ""))
            )
            self.send_response(answer["status"])
            self.send_header("Content-Type", "application/x-ndjson" if lines else "application/json")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content.encode())

        def _read(self) -> bytes:
            if self.headers.get("Transfer-Encoding") == "chunked":
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        do_GET = do_POST = do_DELETE = do_HEAD = _any

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    replay.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield replay
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
