import json

import pytest
from click.testing import CliRunner

from orchestrator.cli.main import run
from orchestrator.cli.plan_view import fit_bar


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))


def planned(capfdbinary, *arguments):
    code = run(["plan", *arguments])
    return code, capfdbinary.readouterr()


SIMULATED = ("--simulate", "RTX 3060 12GB, 3.1 GB used", "--assume-sources")


def test_json_shape(capfdbinary):
    code, out = planned(capfdbinary, *SIMULATED, "--json")
    answer = json.loads(out.out)
    assert (code, answer["ok"], answer["command"], answer["schema"]) == (0, True, "plan", "orchestrator/v1")
    plan = answer["data"]["plan"]
    keys = {"model", "backend", "weights", "device", "engine", "max_length", "memory", "backend_args"}
    assert keys <= set(plan)
    assert {"format", "dtype", "bytes"} <= set(plan["weights"])
    assert {"kind", "uuid", "name"} <= set(plan["device"])
    assert {"need_bytes", "free_bytes", "margin_bytes", "terms"} <= set(plan["memory"])
    for rejected in answer["data"]["rejected"]:
        assert set(rejected) == {"candidate", "code", "reason", "need_bytes", "free_bytes"}
    throughput = answer["data"]["throughput"]
    wanted = {"target_docs_per_s", "tokens_per_doc", "ceiling_docs_per_s", "expected_docs_per_s", "verdict"}
    assert wanted <= set(throughput)


def test_nothing_fits_still_shows_every_candidate(capfdbinary):
    code, out = planned(capfdbinary, "--simulate", "RTX 3060 12GB, 11 GB used", "--assume-sources", "--json")
    answer = json.loads(out.out)
    assert (code, answer["error"]["code"]) == (1, "no_plan")
    assert {one["code"] for one in answer["data"]["rejected"]} == {"not_enough_memory"}
    assert "free" in answer["error"]["remedy"]


def test_table_and_explanation_for_people(capfdbinary):
    code, out = planned(capfdbinary, *SIMULATED, "--explain")
    text = out.out.decode()
    assert code == 0
    for words in ("Candidates", "chosen", "Memory, term by term", "kv cache", "documents/s of 32 tokens", "would help"):
        assert words in text


def test_what_cannot_be_understood_is_a_usage_error(capfdbinary):
    assert planned(capfdbinary, "--simulate", "RTX 9999")[0] == 2


def test_facts_from_a_file(capfdbinary, tmp_path):
    facts = tmp_path / "facts.yaml"
    facts.write_text("host: {memory_available_bytes: 100000000, node_available_bytes: 100000000}\n")
    code, out = planned(capfdbinary, "--simulate", str(facts), "--assume-sources", "--json")
    assert (code, json.loads(out.out)["error"]["code"]) == (1, "no_plan")


def test_history_is_empty_at_first(capfdbinary):
    code, out = planned(capfdbinary, "--history", "--json")
    assert (code, json.loads(out.out)["data"]["history"]) == (0, [])


def test_fit_bar_shows_both_numbers():
    assert "2.0 of 4.0 GiB" in fit_bar(2 * 2**30, 4 * 2**30).plain
    assert fit_bar(None, 1).plain == ""


def test_help_has_an_example():
    from orchestrator.cli.plan import command

    assert "--simulate" in CliRunner().invoke(command, ["--help"]).output
