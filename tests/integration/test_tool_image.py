"""The Dockerfile at the top, built on a base made on the spot: the image runs the tool as a user without rights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT
from tests.integration.docker_fixtures import docker, why_no_engine

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(600),
    pytest.mark.skipif((reason := why_no_engine()) is not None, reason=str(reason)),
]

BASE, CLIENT, BUILT, TOOL = (
    f"orchestrator-test/tool-{part}:{os.getpid()}" for part in ("base", "client", "built", "image")
)
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PLUGINS = Path("usr/local/libexec/docker/cli-plugins")


def import_tree(tree: Path, reference: str) -> None:
    packed = ["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", tree, "-c", "."]
    with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
        subprocess.run(["docker", "import", "-", reference], stdin=tar.stdout, capture_output=True, check=True)
    assert tar.returncode == 0


def make_base(tree: Path) -> None:
    """What python:3.11-slim has and the build needs, from Debian's packages; with the certificates of this machine."""
    subprocess.run([ROOT / "tests/images/debian_tree.sh", tree, "python3-venv"], check=True, timeout=300)
    target = tree / CERTIFICATES.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(CERTIFICATES, target)
    import_tree(tree, BASE)


def make_client(tree: Path) -> None:
    """This machine's Docker client and Compose plugin where the official image of the client has them."""
    program = shutil.which("docker")
    shown = json.loads(docker("info", "--format", "{{json .ClientInfo.Plugins}}"))
    (plugin,) = [found["Path"] for found in shown if found["Name"] == "compose"]
    assert program is not None
    for source, target in ((program, tree / "usr/local/bin/docker"), (plugin, tree / PLUGINS / "docker-compose")):
        target.parent.mkdir(parents=True)
        shutil.copy2(source, target)
    import_tree(tree, CLIENT)


def build(*arguments: str) -> None:
    done = subprocess.run(
        ["docker", "build", "--quiet", *arguments, ROOT],
        # Debian's client has no buildx; the Dockerfile needs none.
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    work = tmp_path_factory.mktemp("image")
    settings = {
        "BASE_IMAGE": BASE,
        "DOCKER_IMAGE": CLIENT,
        "VERSION": "7.8.9",
        "PIP_CERT": str(CERTIFICATES),
        **({"PIP_INDEX_URL": os.environ["PIP_INDEX_URL"]} if os.environ.get("PIP_INDEX_URL") else {}),
    }
    arguments = [f"--build-arg={name}={value}" for name, value in settings.items()]
    try:
        make_base(work / "base")
        make_client(work / "client")
        build("--target=build", f"--tag={BUILT}", *arguments)  # with a name, so that it can be taken away
        build(f"--tag={TOOL}", *arguments)
        yield TOOL
    finally:
        subprocess.run(
            ["docker", "image", "rm", "--force", TOOL, BUILT, CLIENT, BASE], capture_output=True, check=False
        )


def test_it_has_the_version_it_was_built_as(image: str) -> None:
    assert docker("run", "--rm", image, "--version") == "orchestrator 7.8.9"


@pytest.mark.parametrize("user", ["10001:10001", "4321:4321"])
def test_it_plans_as_any_user(image: str, user: str) -> None:
    answer = docker("run", "--rm", "--user", user, image, "plan", "ci", "--simulate", "RTX 3060 12GB", "--json")
    assert json.loads(answer)["ok"] is True


def test_its_user_has_no_rights(image: str) -> None:
    assert docker("run", "--rm", "--entrypoint", "id", image, "-u") == "10001"


def test_compose_is_inside(image: str) -> None:
    assert "version" in docker("run", "--rm", "--entrypoint", "docker", image, "compose", "version")
