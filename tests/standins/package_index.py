"""A stand-in for a package index: serves tiny wheels made here, as slowly as a test wants, and counts what is asked."""

from __future__ import annotations

import hashlib
import http.server
import random
import threading
import time
import zipfile
from pathlib import Path
from urllib.parse import unquote

from orchestrator.catalog.pins import PackagePin
from orchestrator.engines.locks import Lock, parse


def make_wheel(folder: Path, name: str, version: str = "1.0", files: int = 1, ballast_bytes: int = 0) -> Path:
    """A real wheel with a module, as many more files as asked, and a program of the package's name."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", f"def main():\n    print('{name} {version}')\n")
        for number in range(files - 1):
            wheel.writestr(f"{name}/part_{number}.py", f"number = {number}\n")
        if ballast_bytes:
            wheel.writestr(f"{name}/ballast", random.randbytes(ballast_bytes))
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def lock_of_wheels(wheels: list[Path], **pin: str) -> Lock:
    """A lock that pins exactly these files."""
    lines = []
    for wheel in wheels:
        name, version = wheel.name.split("-")[:2]
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    return parse("tiny", PackagePin(version="1.0", **pin), "# a comment\n" + "\n".join(lines) + "\n")


class PackageIndex(http.server.ThreadingHTTPServer):
    """PEP 503 pages under /simple/; `wheel_s` is how long each wheel takes."""

    def __init__(self, folder: Path, wheel_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.wheel_s = wheel_s
        self.wheels_asked: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/simple/"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PackageIndex

    def do_GET(self) -> None:
        name = unquote(self.path).strip("/").split("/")[-1]
        if name.endswith(".whl"):
            self.server.wheels_asked.append(name)
            time.sleep(self.server.wheel_s)
            self._answer((self.server.folder / name).read_bytes(), "application/octet-stream")
            return
        links = [f'<a href="/files/{p.name}">{p.name}</a>' for p in self.server.folder.glob(f"{name}-*.whl")]
        if not links:
            self.send_error(404)
            return
        self._answer(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode(), "text/html")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        return None
