"""The library's door: what it takes, what it refuses, and that it loads late. Real stacks: tests/integration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import orchestrator
from orchestrator import OrchestratorError, Stack
from orchestrator.library import Wishes
from orchestrator.plan.spec import Spec


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORCHESTRATOR_STACK_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_loads_only_when_it_is_asked_for() -> None:
    lines = (
        "import sys, orchestrator",
        "print('orchestrator.library' in sys.modules)",
        "orchestrator.Stack",
        "print('orchestrator.library' in sys.modules)",
    )
    code = "; ".join(lines)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Stak"):
        _ = orchestrator.Stak


def test_wishes_are_the_keys_of_a_configuration() -> None:
    assert set(Wishes.__annotations__) == set(Spec.__struct_fields__) - {"stack"}


def test_a_plan_by_name_preset_and_wishes() -> None:
    stack = Stack("notes", preset="ci", engine="native", ports={"webui": 3055}, target={"docs_per_s": 10})
    assert (stack.name, repr(stack)) == ("notes", "Stack('notes')")
    plan = stack.plan().plan
    assert (plan.model, plan.engine, plan.ports["webui"]) == ("all-minilm-l6-v2", "native", 3055)
    assert not stack.is_up()


def test_the_file_here_names_the_stack(here: Path) -> None:
    (here / "orchestrator.yaml").write_text("stack: team\n")
    assert Stack().name == "team"
    assert Stack("other").name == "other"


def test_a_temporary_one_has_a_name_of_its_own(here: Path) -> None:
    (here / "orchestrator.yaml").write_text("stack: team\n")
    one, other = Stack.temporary(), Stack.temporary()
    assert len({one.name, other.name, "team"}) == 3


@pytest.mark.parametrize(
    ("wishes", "field", "remedy"),
    [
        ({"modle": "x"}, "modle", "write model"),
        ({"ports": {"webiu": 1}}, "ports.webiu", "write ports.webui"),
        ({"engine": "nativ"}, "--engine", "write native"),
        ({"max_length": "long"}, "--max-length", "16 or more"),
        ({"services": ["webui"]}, "services", "add embeddings"),
    ],
)
def test_a_wrong_wish_names_field_and_remedy(wishes, field: str, remedy: str) -> None:
    with pytest.raises(OrchestratorError) as refused:
        Stack(**wishes)
    assert refused.value.message.startswith(f"{field}: ")
    assert remedy in refused.value.remedy


def test_a_stack_that_is_not_there(here: Path) -> None:
    stack = Stack("nobody")
    with pytest.raises(OrchestratorError) as refused:
        stack.status()
    assert refused.value.code == "no_stack"
    assert stack.down().data["stopped"] == []
    assert not (here / "home").exists()
