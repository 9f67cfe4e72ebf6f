"""Images: pulled with progress in bytes, pinned by digest once a registry told it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator.engines.compose_docker import connect, explanation_of
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Role
from orchestrator.progress import Progress
from orchestrator.services.service import Service
from orchestrator.state import StackFolder, write_whole

if TYPE_CHECKING:
    from docker import DockerClient

DONE = ("Download complete", "Pull complete", "Already exists", "Extracting", "Verifying Checksum")


class RunningImage(msgspec.Struct, frozen=True, kw_only=True):
    """What a container runs, and what the reference that it was made from names now. None: the engine has none."""

    role: Role
    reference: str
    runs: str | None
    names: str | None


def read_digests(folder: StackFolder) -> dict[str, str]:
    """`repository:tag` → `sha256:...`, as `orchestrator lock` left them; empty where it never ran."""
    path = folder.path / "digests.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise OrchestratorError(
            "state_damaged",
            f"{path} cannot be read: {error}",
            remedy=f"orchestrator lock --stack {folder.name} writes it again",
        ) from None


def resolve_digests(folder: StackFolder, services: tuple[Service, ...]) -> dict[str, str]:
    """Ask each image's registry what its tag means now; every later `up` uses it. Raises where one cannot be asked."""
    from docker.errors import APIError

    client = connect()
    digests = {}
    for reference in (service.image for service in services):
        try:
            digests[reference] = client.images.get_registry_data(reference).id
        except APIError as error:
            raise OrchestratorError(
                "digest_unknown",
                f"the registry of {reference} gave no digest",
                remedy="check that the registry can be reached from the Docker engine; without a lock, tags are used",
                evidence=explanation_of(error),
            ) from None
    write_whole(folder.path / "digests.json", json.dumps(digests, indent=2, sort_keys=True) + "\n")
    return digests


def with_digest(service: Service, digests: Mapping[str, str]) -> Service:
    digest = digests.get(service.image)
    return service if digest is None else msgspec.structs.replace(service, image=f"{service.image}@{digest}")


def image_id(client: DockerClient, reference: str) -> str | None:
    """None where the engine does not have it."""
    from docker.errors import ImageNotFound

    try:
        return client.images.get(reference).id
    except ImageNotFound:
        return None


def pull_missing(services: tuple[Service, ...], progress: Progress) -> None:
    """Layers that an interrupted pull had finished are kept by the engine: the next call goes on there."""
    client = connect()
    for reference in dict.fromkeys(service.image for service in services):
        if image_id(client, reference) is None:
            progress.step(f"pulling {reference}")
            _pull(client, reference, progress)


def _pull(client: DockerClient, reference: str, progress: Progress) -> None:
    from docker.errors import APIError

    repository, tag = _parts(reference)
    layers: dict[str, tuple[int, int]] = {}
    try:
        for line in client.api.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in line:
                raise _pull_failed(reference, line["error"])
            _count(layers, line)
            if layers:
                done, total = (sum(part) for part in zip(*layers.values(), strict=True))
                progress.advance(reference, done, total, "bytes")
    except APIError as error:
        raise _pull_failed(reference, explanation_of(error)) from None


def _count(layers: dict[str, tuple[int, int]], line: dict[str, Any]) -> None:
    """A layer's size is known once its download begins; finished layers count whole."""
    layer, status, detail = line.get("id", ""), line.get("status", ""), line.get("progressDetail") or {}
    if status == "Downloading" and detail.get("total"):
        layers[layer] = (detail["current"], detail["total"])
    elif status in DONE and layer in layers:
        layers[layer] = (layers[layer][1], layers[layer][1])


def _parts(reference: str) -> tuple[str, str]:
    """The engine takes the digest in the tag's place; a reference with both means the digest."""
    name, _, digest = reference.partition("@")
    repository, _, tag = name.rpartition(":")
    return repository, digest or tag


def _pull_failed(reference: str, evidence: str) -> OrchestratorError:
    return OrchestratorError(
        "image_pull_failed",
        f"the image {reference} could not be pulled",
        remedy=f"`docker pull {reference}` shows the same; on a machine without that registry bring the image along "
        "(docker save, docker load), or run the stack without Docker: --engine native",
        evidence=evidence,
    )


def running_images(references: Mapping[Role, str], containers: Mapping[Role, str]) -> tuple[RunningImage, ...]:
    client = connect()
    return tuple(
        RunningImage(
            role=role,
            reference=references[role],
            runs=client.containers.get(container).attrs["Image"],
            names=image_id(client, references[role]),
        )
        for role, container in containers.items()
    )


def tag_of(container: str) -> str:
    """Of the image that this container was made from, without a digest."""
    reference = str(connect().containers.get(container).attrs["Config"]["Image"])
    return reference.partition("@")[0].rpartition(":")[2]


def package_in(container: str, package: str) -> str | None:
    """The version of a Python package inside a running container; None where it is not installed there."""
    asked = ["python3", "-c", f"from importlib.metadata import version; print(version({package!r}))"]
    done: Any = connect().containers.get(container).exec_run(asked)  # typed for every combination of its options
    return str(done.output.decode(errors="replace")).strip() if done.exit_code == 0 else None
