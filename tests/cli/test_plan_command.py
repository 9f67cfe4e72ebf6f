import json
import os
import subprocess
import sys
from contextlib import suppress

import pytest
from click import unstyle
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
    assert unstyle(fit_bar(2 * 2**30, 4 * 2**30)) == "█████░░░░░ 2.0 of 4.0 GiB"
    assert unstyle(fit_bar(5 * 2**30, 4 * 2**30)) == "█████████▶ 5.0 of 4.0 GiB"
    assert fit_bar(None, 1) == ""


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize(
    "machine", ["RTX 3060 12GB, 3.1 GB used", "GTX 1080 Ti", "2x RTX 4090", "RTX 3060 12GB, 11 GB used", "no GPU"]
)
def test_no_line_is_wider_than_the_terminal(capfdbinary, monkeypatch, width, machine):
    """But for the candidates: a name and its bar stay on one line."""
    monkeypatch.setenv("COLUMNS", str(width))
    _, out = planned(capfdbinary, "--simulate", machine, "--assume-sources", "--explain")
    lines = out.out.decode().splitlines()
    assert [line for line in lines if len(line) > width and "GiB" not in line] == []
    assert width < 80 or all(len(line) <= width for line in lines)


def test_a_refusal_shows_the_candidates_once(capfdbinary):
    code, out = planned(capfdbinary, "--simulate", "RTX 3060 12GB, 11 GB used", "--assume-sources")
    shown, said = out.out.decode(), out.err.decode()
    assert code == 1
    assert "▶" in shown
    assert "too little" in shown
    assert "no_plan" in said
    assert "│" not in said
    assert "free 3." in said.replace("\n", " ")


def test_colours_are_for_terminals_that_want_them():
    done = {}
    for name, extra in (("plain", {"NO_COLOR": "1"}), ("coloured", {})):
        parent, child = os.openpty()
        environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"} | extra
        command = [sys.executable, "-m", "orchestrator", "plan", "--simulate", "T4", "--assume-sources"]
        process = subprocess.Popen(command, env=environment, stdin=child, stdout=child, stderr=child)
        os.close(child)
        text = b""
        with suppress(OSError):  # the kernel's word for the end of a terminal
            while block := os.read(parent, 65536):
                text += block
        assert process.wait() == 0
        done[name] = text
        os.close(parent)
    assert b"\x1b[" not in done["plain"]
    assert b"\x1b[32m" in done["coloured"]


def test_help_has_an_example():
    from orchestrator.cli.plan import command

    assert "--simulate" in CliRunner().invoke(command, ["--help"]).output
