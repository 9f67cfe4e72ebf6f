"""A stand-in for a Docker engine on a unix socket: only the three requests that our facts make.

It shows how our side reads an engine's answers, and its silence; it says nothing about a real engine.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

INFO: dict[str, Any] = {
    "Runtimes": {"runc": {}},
    "DiscoveredDevices": None,
    "DockerRootDir": None,
    "SecurityOptions": ["name=seccomp,profile=default"],
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
}
VERSION = {"Version": "28.5.2", "ApiVersion": "1.51", "Components": [{"Name": "Engine"}]}


class StandInEngine:
    """Answers as an engine does; with `silent` it takes connections and never says a word, as a hung one does."""

    def __init__(self, path: Path, *, info: dict[str, Any] | None = None, silent: bool = False) -> None:
        self.answers: dict[str, Any] = {"/info": INFO | (info or {}), "/version": VERSION, "/images/json": []}
        self.silent = silent
        self.kept: list[socket.socket] = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                plug, _ = self.socket.accept()
            except OSError:
                return
            if self.silent:
                self.kept.append(plug)
                continue
            asked = plug.recv(4096).decode().split(" ")[1]
            plug.sendall(f"HTTP/1.0 200 OK\r\n\r\n{json.dumps(self.answers[asked])}".encode())
            plug.close()

    def close(self) -> None:
        """The thread first: a descriptor closed under its `accept` may be another test's a moment later."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
