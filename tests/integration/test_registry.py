"""Pulling and pinning against a real registry: Debian's docker-registry on a local port, and the real engine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from orchestrator.engines.compose_images import image_id, pull_missing, read_digests, resolve_digests, with_digest
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Unit
from orchestrator.services.service import Health, Program, Service
from orchestrator.state import StackFolder
from tests.integration.docker_fixtures import (
    Registry,
    docker,
    free_port,
    has_image,
    local_registry,
    remove_image,
    why_no_engine,
)

NO_ENGINE = why_no_engine()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.skipif(NO_ENGINE is not None, reason=str(NO_ENGINE)),
]
NOISE_BYTES = 4_000_000
"""Random, so that it cannot shrink: a pull that reports its bytes more than once."""


class Written:
    """Keeps what long work reported."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []
        self.advances: list[tuple[str, int, int | None, Unit]] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, what: str, done: int, total: int | None, unit: Unit = "items") -> None:
        self.advances.append((what, done, total, unit))


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with local_registry() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> StackFolder:
    return StackFolder.at("registry-test", tmp_path)


def service_of(image: str) -> Service:
    return Service(
        role="vectors",
        name="chroma",
        version="1.0",
        image=image,
        program=Program(environment=None, executable="hello"),
        entrypoint=("/hello",),
        arguments=(),
        environment={},
        listen="0.0.0.0",
        port=8000,
        published_port=None,
        published_host="127.0.0.1",
        health=Health(path="/", tool="bash"),
        start_deadline_s=10,
        stop_grace_s=10,
    )


def digest_in(registry: Registry, name: str, tag: str) -> str:
    """What the registry itself says, asked without Docker."""
    host, port = registry.address.split(":")
    connection = HTTPConnection(host, int(port), timeout=10)
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    connection.request("HEAD", f"/v2/{name}/manifests/{tag}", headers=accept)
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 200
    return str(answer.getheader("Docker-Content-Digest"))


def test_a_missing_image_is_pulled_and_its_bytes_are_counted(registry: Registry) -> None:
    reference = registry.push("team/pulled:1.0", size_bytes=NOISE_BYTES)
    assert not has_image(reference)
    written = Written()
    pull_missing((service_of(reference),), written)
    try:
        assert has_image(reference)
        assert any(reference in step for step in written.steps)
        counted = [(done, total) for _, done, total, _ in written.advances]
        assert {unit for *_, unit in written.advances} == {"bytes"}
        assert [done for done, _ in counted] == sorted(done for done, _ in counted)
        done, total = counted[-1]
        assert done == total
        assert total is not None and total >= NOISE_BYTES
    finally:
        remove_image(reference)


def test_an_image_that_is_there_is_not_pulled_again(registry: Registry) -> None:
    reference = registry.push("team/twice:1.0")
    pull_missing((service_of(reference),), Written())
    try:
        written = Written()
        pull_missing((service_of(reference), service_of(reference)), written)
        assert written.steps == []
        assert written.advances == []
    finally:
        remove_image(reference)


def test_two_services_with_one_image_pull_it_once(registry: Registry) -> None:
    reference = registry.push("team/shared:1.0")
    written = Written()
    pull_missing((service_of(reference), service_of(reference)), written)
    remove_image(reference)
    assert len([step for step in written.steps if reference in step]) == 1


def test_a_tag_that_the_registry_lacks_names_the_image_and_what_the_registry_said(registry: Registry) -> None:
    registry.push("team/tagged:1.0")
    with pytest.raises(OrchestratorError) as refused:
        pull_missing((service_of(f"{registry.address}/team/tagged:2.0"),), Written())
    assert refused.value.code == "image_pull_failed"
    assert "team/tagged:2.0" in refused.value.message
    assert "not found" in refused.value.evidence
    assert refused.value.remedy


def test_a_registry_that_does_not_answer_is_an_error_with_its_reason() -> None:
    with pytest.raises(OrchestratorError) as refused:
        pull_missing((service_of(f"127.0.0.1:{free_port()}/team/none:1.0"),), Written())
    assert refused.value.code == "image_pull_failed"
    assert "refused" in refused.value.evidence


def test_digests_are_those_of_the_registry_and_are_remembered(registry: Registry, folder: StackFolder) -> None:
    reference = registry.push("team/locked:1.0")
    told = {reference: digest_in(registry, "team/locked", "1.0")}
    assert read_digests(folder) == {}
    assert resolve_digests(folder, (service_of(reference),)) == told
    assert read_digests(folder) == told


def test_a_tag_without_an_image_has_no_digest_and_the_old_lock_stays(registry: Registry, folder: StackFolder) -> None:
    known, absent = registry.push("team/known:1.0"), f"{registry.address}/team/absent:1.0"
    before = resolve_digests(folder, (service_of(known),))
    with pytest.raises(OrchestratorError) as refused:
        resolve_digests(folder, (service_of(known), service_of(absent)))
    assert refused.value.code == "digest_unknown"
    assert "team/absent:1.0" in refused.value.message
    assert read_digests(folder) == before


def test_a_locked_stack_keeps_its_image_when_the_owner_moves_the_tag(registry: Registry, folder: StackFolder) -> None:
    service = service_of(registry.push("team/moved:1.0"))
    digests = resolve_digests(folder, (service,))
    registry.push("team/moved:1.0", size_bytes=1000)
    assert digest_in(registry, "team/moved", "1.0") not in digests.values(), "the tag did not move"
    locked = with_digest(service, read_digests(folder))
    pull_missing((locked,), Written())
    try:
        held = docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", locked.image)
        assert held == f"{registry.address}/team/moved@{digests[service.image]}"
        written = Written()
        pull_missing((locked,), written)
        assert written.steps == [], "a locked image that is there was pulled again"
    finally:
        remove_image(locked.image.replace(":1.0@", "@"))


def test_a_pull_that_was_cut_off_is_finished_by_the_next(registry: Registry) -> None:
    """`docker pull` of the same image, killed half way, stands for a killed `up`: the engine holds the layers."""
    from orchestrator.engines.compose_docker import connect

    reference = registry.push("team/cut:1.0", size_bytes=8 * NOISE_BYTES)
    pull = subprocess.Popen(["docker", "pull", reference], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert pull.stdout is not None
    pull.stdout.readline()
    pull.kill()
    pull.wait()
    pull_missing((service_of(reference),), Written())
    try:
        assert image_id(connect(), reference)
    finally:
        remove_image(reference)
