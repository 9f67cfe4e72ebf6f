"""Builds the stand-in NVML library. It tests our reading of NVML, never a GPU's behaviour."""

import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml.c")


def build(folder: Path) -> Path:
    """Returns the folder to put first in LD_LIBRARY_PATH, before the process starts."""
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-w", "-Wl,-soname,libnvidia-ml.so.1", "-o", str(library), str(SOURCE)], check=True
    )
    return folder


def environment(folder: Path, gpus: str) -> dict[str, str]:
    """The environment of a child process that sees these cards."""
    keep = {key: value for key, value in os.environ.items() if not key.endswith("VISIBLE_DEVICES")}
    return {**keep, "LD_LIBRARY_PATH": str(folder), "STANDIN_NVML_GPUS": gpus}
