"""Mounts of a service in a container; natively a service sees the host's own paths and there are none."""

from __future__ import annotations

from orchestrator.plan.records import Role
from orchestrator.services.place import Place
from orchestrator.services.service import Mount


def data_mounts(place: Place, role: Role) -> tuple[Mount, ...]:
    if role not in place.volumes:
        return ()
    return (Mount(kind="volume", source=place.volumes[role], target=place.data[role]),)


def model_mounts(place: Place) -> tuple[Mount, ...]:
    if place.model_mount_source is None:
        return ()
    return (Mount(kind="bind", source=place.model_mount_source, target=place.model_path, read_only=True),)
