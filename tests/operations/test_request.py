"""Who overrules whom, and what a stack that is there keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.operations.record import Intent, write_intent
from orchestrator.operations.request import Asked, presets, recalled, request
from orchestrator.plan.records import Decision, Throughput
from orchestrator.state import StackFolder
from tests.plans import plan_of

NOTHING: dict[str, str] = {}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working directory, and a state folder of its own."""
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    working = tmp_path / "here"
    working.mkdir()
    monkeypatch.chdir(working)
    return working


def ask(preset: str | None = None, config: Path | None = None, environment: dict[str, str] = NOTHING, **flags: object):
    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    return Asked(flags=dotted, preset=preset, config=config, environment=environment)


def remember(asked: Asked) -> None:
    """As `up` leaves it."""
    made = recalled(asked)
    throughput = Throughput(
        target_docs_per_s=1, tokens_per_doc=32, ceiling_docs_per_s=None, expected_docs_per_s=None, verdict="unknown"
    )
    intent = Intent(
        spec=made.spec,
        asked=made.asked,
        decision=Decision(plan=plan_of(), rejected=(), throughput=throughput),
        pins_hash="",
        tool_version="",
        decided_at=datetime.now(UTC),
    )
    write_intent(StackFolder(made.spec.stack), intent)


def test_the_shipped_presets() -> None:
    assert presets() == ["ci", "embed", "rag"]


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_valid(name: str) -> None:
    assert request(ask(name)).spec.ports


def test_flags_overrule_the_preset_key_by_key() -> None:
    spec = request(ask("rag", ports__webui=3005, target__tokens_per_doc=64, model=None)).spec
    assert spec.ports == {"webui": 3005, "embeddings": 8001, "vectors": 8002}
    assert spec.target.tokens_per_doc == 64
    assert spec.target.docs_per_s == 800
    assert spec.model is None


def test_a_preset_that_is_nearly_right_names_the_right_one() -> None:
    with pytest.raises(OrchestratorError) as refused:
        request(ask("rga"))
    assert refused.value.exit_code == 2
    assert refused.value.remedy.startswith("write rag")


class TestPrecedence:
    """flag > environment > file > preset > default, shown by taking one away at a time."""

    @pytest.fixture(autouse=True)
    def file(self, here: Path) -> None:
        (here / "orchestrator.yaml").write_text("ports: {webui: 3002}\nmax_length: 64\n")

    def test_a_flag_overrules_the_environment(self) -> None:
        made = request(ask(environment={"ORCHESTRATOR_PORTS_WEBUI": "3003"}, ports__webui=3004))
        assert made.spec.ports["webui"] == 3004
        assert str(made.settings["ports.webui"].origin) == "flag --port"

    def test_the_environment_overrules_the_file(self) -> None:
        made = request(ask(environment={"ORCHESTRATOR_PORTS_WEBUI": "3003"}))
        assert made.spec.ports["webui"] == 3003
        assert str(made.settings["ports.webui"].origin) == "environment variable ORCHESTRATOR_PORTS_WEBUI"

    def test_the_file_overrules_the_preset(self) -> None:
        made = request(ask())
        assert made.spec.ports == {"webui": 3002, "embeddings": 8001, "vectors": 8002}
        assert str(made.settings["ports.webui"].origin) == "orchestrator.yaml:1:9"
        assert str(made.settings["ports.vectors"].origin) == "preset rag"

    def test_a_preset_that_is_named_is_taken_without_the_file(self) -> None:
        assert request(ask("ci")).spec.ports["webui"] == 3000
        assert request(ask("ci")).spec.max_length is None

    def test_config_overrules_the_file_that_was_found_and_lies_over_a_preset(self, tmp_path: Path) -> None:
        other = tmp_path / "other.yaml"
        other.write_text("ports: {vectors: 9000}\n")
        spec = request(ask("ci", config=other)).spec
        assert (spec.model, spec.ports["vectors"], spec.max_length) == ("all-minilm-l6-v2", 9000, None)

    def test_an_empty_variable_says_nothing(self) -> None:
        assert request(ask(environment={"ORCHESTRATOR_MAX_LENGTH": "  "})).spec.max_length == 64


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text becomes what the key takes: lists by commas, sizes by their unit."""
    environment = {
        "ORCHESTRATOR_SERVICES": "embeddings, vectors",
        "ORCHESTRATOR_VRAM_BYTES": "11GiB",
        "ORCHESTRATOR_TARGET_DOCS_PER_S": "12.5",
        "ORCHESTRATOR_RETRIEVAL_TOP_K": "9",
        "ORCHESTRATOR_STACK_NAME": "team",
        "ORCHESTRATOR_GPU": "0",
    }
    spec = request(ask(environment=environment)).spec
    assert spec.services == ("embeddings", "vectors")
    assert (spec.vram_bytes, spec.target.docs_per_s) == (11 * 2**30, 12.5)
    assert (spec.retrieval.top_k, spec.stack, spec.gpu) == (9, "team", "0")


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(OrchestratorError) as refused:
        request(ask(environment={"ORCHESTRATOR_ENGINE": "nativ"}))
    assert refused.value.exit_code == 2
    assert refused.value.message.startswith("ORCHESTRATOR_ENGINE: ")
    assert refused.value.remedy == "write native"


class TestAStackThatIsThere:
    def test_keeps_what_it_was_asked_for(self) -> None:
        remember(ask(engine="native", preset="ci"))
        spec = recalled(ask()).spec
        assert (spec.engine, spec.model) == ("native", "all-minilm-l6-v2")

    def test_a_preset_that_is_named_starts_afresh(self) -> None:
        remember(ask(engine="native"))
        assert recalled(ask("rag")).spec.engine == "auto"

    def test_what_flags_asked_for_stays_below_a_file(self, here: Path) -> None:
        remember(ask(engine="native", max_length=64))
        (here / "orchestrator.yaml").write_text("max_length: 128\n")
        spec = recalled(ask()).spec
        assert (spec.engine, spec.max_length) == ("native", 128)

    def test_a_line_that_is_removed_from_the_file_takes_effect(self, here: Path) -> None:
        file = here / "orchestrator.yaml"
        file.write_text("max_length: 128\n")
        remember(ask(engine="native"))
        file.write_text("listen: 127.0.0.1\n")
        spec = recalled(ask()).spec
        assert (spec.engine, spec.max_length) == ("native", None)

    def test_what_was_recalled_is_recalled_again(self, here: Path) -> None:
        remember(ask(engine="native"))
        (here / "orchestrator.yaml").write_text("max_length: 128\n")
        remember(ask())
        assert recalled(ask()).spec.engine == "native"

    def test_a_plan_of_an_earlier_version_keeps_what_no_preset_says(self, here: Path) -> None:
        remember(ask(engine="native"))
        path = StackFolder("default").plan_file
        text = path.read_text()
        path.write_text(text.replace('"asked": [\n    "engine"\n  ],', '"asked": null,'))
        assert path.read_text() != text
        (here / "orchestrator.yaml").write_text("max_length: 128\n")
        spec = recalled(ask()).spec
        assert (spec.engine, spec.max_length, spec.ports["webui"]) == ("native", 128, 3000)

    def test_the_file_names_the_stack_that_is_recalled(self, here: Path) -> None:
        remember(ask(stack="team", engine="native"))
        (here / "orchestrator.yaml").write_text("stack: team\n")
        assert recalled(ask()).spec.engine == "native"
