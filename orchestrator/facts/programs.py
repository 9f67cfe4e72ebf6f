"""Programs that the machine brings itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from orchestrator.facts.records import ProgramFacts


def read_programs(python_version: str) -> ProgramFacts:
    """`python_version` is the one that the locks were made for, as `3.11`."""
    return ProgramFacts(
        llama_server=shutil.which("llama-server"),
        ollama=shutil.which("ollama"),
        python=python_of(python_version),
        cmake=shutil.which("cmake"),
        compiler=next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None),
    )


def python_of(version: str) -> str | None:
    """A CPython of this version: the one that runs us (its base, not our virtual environment), else one on PATH."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        base = Path(sys.base_prefix) / "bin" / f"python{version}"
        return str(base) if os.access(base, os.X_OK) else sys.executable
    return shutil.which(f"python{version}")
