"""A stand-in for a service: answers 200 with $GREETING, or `slow`/`stubborn` ways to start and to stop."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import time


class Greet(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get("GREETING", "").encode())

    def log_message(self, format: str, *arguments: object) -> None:
        print(format % arguments, flush=True)


def main(port: int, *ways: str) -> None:
    if "dies" in ways:
        print("cannot go on: no such flag", flush=True)
        sys.exit(3)
    if "has-a-child" in ways:
        # A child that overwrites its environment as Linux shows it (as setproctitle does) and outlives its parent.
        subprocess.Popen(["/usr/bin/env", "-i", sys.executable, "-c", "import time; time.sleep(600)"])
    if "stubborn" in ways:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "slow" in ways:
        time.sleep(1.5)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Greet).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
