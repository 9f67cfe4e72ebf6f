"""Whether a folder can be mounted as it is: a link that leads out of it leads nowhere inside the container."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.services.service import Service


def refuse_links_that_lead_out(services: tuple[Service, ...]) -> None:
    """The Hugging Face cache keeps a model as links into a neighbouring folder: vLLM would find no weights there."""
    for mount in (mount for service in services for mount in service.mounts if mount.kind == "bind"):
        root = Path(mount.source).resolve()
        for path in root.rglob("*") if root.is_dir() else ():
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise OrchestratorError(
                    "model_folder_links",
                    f"{mount.source} holds links that lead out of it, so a container cannot read them",
                    remedy=f"copy the model as plain files and name the copy: cp -rL {mount.source} FOLDER, "
                    "--model FOLDER; or run the stack without Docker: --engine native",
                    evidence=f"{path} -> {path.readlink()}",
                )
