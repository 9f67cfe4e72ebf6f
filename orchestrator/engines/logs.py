"""The ends of log files: the last lines, and new lines as they come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

BLOCK_BYTES = 64 * 1024
LOOK_EVERY_S = 0.25


def last_lines(path: Path, count: int) -> list[str]:
    """Oldest first, out of the rotated file too where the present one is still short."""
    lines = _end_of(path, count)
    if len(lines) < count:
        lines = _end_of(path.with_name(f"{path.name}.1"), count - len(lines)) + lines
    return lines


def follow(
    paths: Mapping[str, Path],
    lines: int,
    write: Callable[[str], object],
    *,
    goes_on: Callable[[], bool] = lambda: True,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """The last lines of each file, then all that is added, each line after its file's name, across rotations."""
    width = max((len(name) for name in paths), default=0)
    tails = {name: _Tail(path) for name, path in paths.items()}
    for name, path in paths.items():
        for line in last_lines(path, lines):
            write(f"{name:<{width}} | {line}\n")
    while True:
        for name, tail in tails.items():
            for line in tail.new_lines():
                write(f"{name:<{width}} | {line}\n")
        if not goes_on():
            return
        pause(LOOK_EVERY_S)


class _Tail:
    """Reads on from where the file ended when following began; a file that was replaced is read from its start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inode, self.position = self._now()
        self.rest = b""

    def new_lines(self) -> Iterator[str]:
        inode, size = self._now()
        if inode is None:
            return
        if inode != self.inode or size < self.position:
            self.inode, self.position = inode, 0
        with self.path.open("rb") as file:
            file.seek(self.position)
            added = file.read()
        self.position += len(added)
        *whole, self.rest = (self.rest + added).split(b"\n")
        for line in whole:
            yield line.decode("utf-8", errors="replace")

    def _now(self) -> tuple[int | None, int]:
        try:
            found = self.path.stat()
        except OSError:
            return None, 0
        return found.st_ino, found.st_size


def _end_of(path: Path, count: int) -> list[str]:
    """Read from the end: a log of megabytes costs what its last lines cost."""
    if count <= 0:
        return []
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            data = b""
            while position > 0 and data.count(b"\n") <= count:
                step = min(BLOCK_BYTES, position)
                position -= step
                file.seek(position)
                data = file.read(step) + data
    except OSError:
        return []
    return [line.decode("utf-8", errors="replace") for line in data.splitlines()[-count:]]
