"""Builds and starts the fast stub. It measures clients, never a model."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("stub.c")


def build(folder: Path) -> Path:
    program = folder / "embedding-stub"
    subprocess.run(["gcc", "-O2", "-w", "-o", str(program), str(SOURCE), "-lm"], check=True)
    return program


@contextmanager
def serving(program: Path, dimension: int = 2560) -> Iterator[str]:
    """Its URL, on a free port."""
    with subprocess.Popen([str(program), "0", str(dimension)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
