"""Screenshots for docs/, made from what a command really printed on a terminal of its own.

    HOME=/home/you python tools/screenshots.py docs/img/doctor.svg doctor --stack docs

Runs `orchestrator` on a pseudo-terminal, keeps what is left on the screen when it has ended, and writes it with rich's
own SVG export. Names and folders of the machine are taken out as `doctor --report` does.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import msgspec

ROWS = 50
CONTROL = re.compile(r"\x1b\[(\?)?([0-9;]*)([A-Za-z])")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="verb and options of orchestrator")
    asked = parser.parse_args()
    printed = on_a_terminal([sys.executable, "-m", "orchestrator", *asked.command], asked.columns, ROWS, os.environ)
    lines = [f"$ orchestrator {' '.join(asked.command)}", *screen(printed)]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(svg(without_names("\n".join(lines))), encoding="utf-8")
    return 0


def on_a_terminal(command: list[str], columns: int, rows: int, environment: Mapping[str, str]) -> str:
    """All that the command wrote to a pseudo-terminal of this size, whatever it ended with."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    env = {**environment, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=env):
        os.close(terminal)
        written = b"".join(iter(lambda: _read(controller), b""))
    os.close(controller)
    return written.decode()


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def screen(printed: str) -> list[str]:
    """What is left of it: rich's moving lines go up and erase themselves. Colours stay in the lines."""
    rows, row = [""], 0
    for line in printed.replace("\r\n", "\n").split("\n"):
        position = 0
        for found in CONTROL.finditer(line):
            rows[row] += line[position : found.start()].replace("\r", "")
            position = found.end()
            if found[3] == "m":
                rows[row] += found[0]
            elif found[3] == "K":
                rows[row] = ""
            elif found[3] == "A":
                row = max(row - int(found[2] or 1), 0)
        rows[row] += line[position:].replace("\r", "")
        row += 1
        if row == len(rows):
            rows.append("")
    while rows and not rows[-1].strip():
        rows.pop()
    return rows


def without_names(text: str) -> str:
    from orchestrator.doctor.redaction import redacted
    from orchestrator.operations.doctor_report import private_of

    private = private_of(None)
    kernel = ((platform.release(), platform.release().partition("-")[0]),)
    folders = tuple((path, "~/.local/share/orchestrator" if "HOME" in word else word) for path, word in private.folders)
    return redacted(text, msgspec.structs.replace(private, names=(*private.names, *kernel), folders=folders))


def svg(text: str) -> str:
    """As wide as its widest line: a name that stands for another one may have made it longer."""
    from rich.console import Console
    from rich.text import Text

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        printed = Text.from_ansi(text)
        width = max(line.cell_len for line in printed.split())
        console = Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="standard")
        console.print(printed)
        return console.export_svg(title="orchestrator", unique_id="orchestrator")


if __name__ == "__main__":
    sys.exit(main())
