"""Where a service's program lies on this machine, and how it gets there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from orchestrator.engines import environments, llamacpp_build
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Progress
from orchestrator.services.service import Program

BUILT = "llamacpp"


def executable_of(program: Program) -> Path:
    """Also before it is installed: the place follows from the pins alone."""
    if program.environment is None:
        return Path(program.executable)
    if program.environment == BUILT:
        found = shutil.which(program.executable)
        return Path(found) if found else llamacpp_build.build_folder() / "bin" / program.executable
    return environments.environment_folder(program.environment) / "bin" / program.executable


def prepare_program(program: Program, progress: Progress) -> None:
    """Install or build it, once for all stacks of this user."""
    if program.environment == BUILT:
        if shutil.which(program.executable) is None:
            llamacpp_build.build(progress)
    elif program.environment is not None:
        environments.install(program.environment, progress)
    executable = executable_of(program)
    if shutil.which(executable) is None:
        raise OrchestratorError(
            "program_missing",
            f"{executable} is not there or may not be run",
            remedy=f"install it, or remove {executable.parent.parent} to have it installed again"
            if program.environment
            else f"install {executable} or put it on the PATH ({os.environ.get('PATH', '')})",
        )
