"""What `doctor` shows, exits with and leaves behind, on a catalogue of a few checks of our own."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from xml.etree import ElementTree

import msgspec
import pytest

from orchestrator.cli.main import run
from orchestrator.doctor import catalogue
from orchestrator.doctor.check import Check, Fix, bad, not_applicable, passed
from orchestrator.doctor.listing import AREA_TITLES
from tools import screenshots as terminal


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def ill():
    """Ids of the checks that are not well; a test or a fix changes it."""
    return set()


@pytest.fixture
def checks(monkeypatch, ill):
    def check(name, area="host", *, needs=(), severity="fail", applies=True, fix=None, stage="host"):
        def answer(context):
            if not applies:
                return not_applicable(f"{name} has nothing to ask here")
            return bad("41", f"{name} is 41", "make it 42:", "sudo set 42") if name in ill else passed("42")

        return Check(
            id=name, area=area, question=f"Is {name} 42?", reads=("it",), needs=needs, severity=severity,
            answer=answer, fix=fix, stage=stage,
        )  # fmt: skip

    made = (
        check("host.a"),
        check("host.warns", severity="warn", fix=Fix(text="set it to 42", apply=lambda _c: ill.discard("host.warns"))),
        check("gpu.none", "gpu", applies=False),
        check("docker.a", "docker"),
        check("docker.b", "docker", needs=("docker.a",)),
        check("plan.a", "model", stage="plan"),
    )
    monkeypatch.setattr(catalogue, "CHECKS", made)
    return made


@pytest.fixture
def doctor(checks, capfd):
    def ask(*arguments):
        code = run(["doctor", "--pre", "--offline", *arguments])
        return code, capfd.readouterr()

    return ask


def test_all_well(doctor):
    code, shown = doctor()
    assert code == 0
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert lines[0] == "This machine"
    assert lines[1].split() == ["✓", "host.a", "42"]
    assert "GPU" not in shown.out.splitlines()
    assert "1 does not apply here: gpu.none" in shown.out
    assert lines[-1].startswith("✓ 4 passed   - 1 not applicable   ")


def test_a_failure_says_what_was_read_why_what_to_do_and_where_it_is_explained(doctor, ill):
    ill.add("docker.a")
    code, shown = doctor()
    assert code == 1
    for part in (
        "✗ docker.a                 41",
        "Is docker.a 42?",
        "why    docker.a is 41",
        "fix    make it 42:",
        "sudo set 42",
        "see    docs/checks.md#docker.a",
        "- 1 waits for docker.a: docker.b",
        "✗ 1 failed   - 1 waiting",
        "orchestrator doctor --explain docker.a",
    ):
        assert part in shown.out


def test_areas_stand_in_their_order_whatever_ended_first(doctor):
    shown = doctor("--verbose")[1].out
    titles = [line for line in shown.splitlines() if line and not line.startswith((" ", "✓"))]
    assert titles == ["This machine", "GPU", "Docker"]
    assert "gpu.none has nothing to ask here" in shown


@pytest.mark.parametrize(
    ("sick", "flags", "code"),
    [
        ((), (), 0),
        (("host.warns",), (), 0),
        (("host.warns",), ("--strict",), 1),
        (("host.a",), (), 1),
        (("host.a",), ("--only", "docker."), 0),
        (("host.a",), ("--skip", "host.a", "--reason", "known"), 0),
        (("host.warns",), ("--strict", "--fix"), 0),
        (("host.a",), ("--fix",), 1),
    ],
)
def test_exit_codes(doctor, ill, sick, flags, code):
    ill.update(sick)
    assert doctor(*flags)[0] == code


def test_a_check_that_breaks_exits_3_unless_another_one_fails(doctor, monkeypatch, ill, checks):
    def boom(context):
        raise ZeroDivisionError("boom")

    broken = msgspec.structs.replace(checks[3], answer=boom)
    monkeypatch.setattr(catalogue, "CHECKS", (*checks[:3], broken))
    code, shown = doctor()
    assert code == 3
    assert "ZeroDivisionError: boom" in shown.out
    assert "? 1 could not be asked" in shown.out
    ill.add("host.a")
    assert doctor()[0] == 1


def test_a_skip_stands_in_its_place_with_its_reason(doctor):
    shown = doctor("--skip", "docker.a", "--reason", "no Docker by policy")[1].out
    assert "- docker.a                 skipped: no Docker by policy" in shown
    assert "✓ docker.b" in shown  # what needs it is asked as if it held


def test_a_fix_is_printed_before_its_outcome(doctor, ill):
    ill.update(("host.warns", "host.a"))
    code, shown = doctor("--fix")
    assert code == 1
    assert "--fix  set it to 42" in shown.out
    told, outcome = shown.out.index("→ host.warns"), shown.out.index("fixed: 42 (it was: 41)")
    assert told < outcome
    assert "✓ 1 fixed" in shown.out
    assert "host.a" in ill  # its command was printed, not run


def test_json_says_what_is_fixed_and_tells_it_on_stderr(doctor, ill):
    ill.add("host.warns")
    _code, shown = doctor("--fix", "--json")
    assert "fix host.warns: set it to 42" in shown.err
    answer = json.loads(shown.out)
    assert answer["data"]["summary"] == {"pass": 3, "warn": 0, "fail": 0, "skip": 1, "error": 0, "fixed": 1}


def test_waiting_is_told_and_its_end_is_soon(doctor, ill):
    ill.add("docker.a")
    code, shown = doctor("--wait", "2s")
    assert code == 1
    assert "for docker.a" in shown.err
    assert shown.out.count("✗ docker.a") == 1


def test_junit(doctor, ill, tmp_path):
    ill.update(("docker.a", "host.warns"))
    doctor("--junit", str(tmp_path / "new" / "doctor.xml"))
    root = ElementTree.parse(tmp_path / "new" / "doctor.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("5", "1", "2")
    doctor("--strict", "--junit", str(tmp_path / "new" / "doctor.xml"))
    assert ElementTree.parse(tmp_path / "new" / "doctor.xml").getroot().get("failures") == "2"


def test_a_file_that_cannot_be_written_is_an_error_of_its_own(doctor, tmp_path):
    (tmp_path / "file").write_text("")
    code, shown = doctor("--junit", str(tmp_path / "file" / "doctor.xml"))
    assert code == 1
    assert "not_written" in shown.err


# The archive


def packed(path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name).decode() for name in archive.namelist()}
    with tarfile.open(path) as archive:
        assert {(m.uid, m.uname, m.gname) for m in archive.getmembers()} == {(0, "", "")}
        return {m.name: archive.extractfile(m).read().decode() for m in archive.getmembers()}


@pytest.mark.parametrize("name", ["report.tar.gz", "report.zip", "report.tgz"])
def test_the_archive_holds_what_was_found(checks, capfd, tmp_path, name):
    run(["doctor", "--offline", "--report", str(tmp_path / name)])
    files = packed(tmp_path / name)
    inside = {"README.txt", "findings.json", "versions.json", "facts.json", "plan.json", "services.json"}
    assert {f"orchestrator-report/{one}" for one in inside} <= set(files)
    findings = json.loads(files["orchestrator-report/findings.json"])["findings"]
    assert [finding["id"] for finding in findings] == [check.id for check in checks]
    assert oct((tmp_path / name).stat().st_mode & 0o777) == "0o600"
    assert "have a look" in capfd.readouterr().out


# A terminal


def on_a_terminal(command, *, home, columns=80, rows=24, **environment):
    """What a real pseudo-terminal got from this process."""
    env = {"ORCHESTRATOR_HOME": str(home), "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    return terminal.on_a_terminal([sys.executable, *command], columns, rows, {**env, **environment})


def kept_on(shown):
    """The lines that stay, without bold and dim, which NO_COLOR leaves."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in terminal.screen(shown)]


PRE = ("-m", "orchestrator", "doctor", "--pre", "--offline")


@pytest.mark.parametrize("columns", [80, 100])
def test_no_line_is_wider_than_the_terminal_but_a_command(home, columns):
    shown = on_a_terminal(PRE, home=home, columns=columns, NO_COLOR="1")
    assert "\x1b[3" not in shown  # no colour
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back
    kept = kept_on(shown)
    assert kept[0] == "This machine"
    assert [line for line in kept if len(line) > columns and not line.startswith(" " * 13)] == []


def test_colour_on_a_terminal(home):
    assert "\x1b[32m" in on_a_terminal(PRE, home=home)


def test_a_pipe_gets_colour_where_it_is_asked_for_but_nothing_that_moves(home):
    env = {**os.environ, "ORCHESTRATOR_HOME": str(home), "FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, *PRE], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert "\x1b[32m" in done.stdout
    assert not re.search(r"\x1b\[[0-9?;]*[A-LN-Za-ln-z]", done.stdout)


MANY = """
import sys, time
from orchestrator.cli import main
from orchestrator.doctor import catalogue
from orchestrator.doctor.check import Check, passed
from orchestrator.doctor.listing import AREA_TITLES

def check(number):
    def answer(context):
        time.sleep(number % 7 * 0.02)
        return passed(f"{number} " + "and so on " * (number % 5 * 4))
    return Check(
        id=f"a.{number:03}", area=list(AREA_TITLES)[number % 3], question="Is it?", reads=("it",), severity="fail",
        answer=answer,
    )

catalogue.CHECKS = tuple(check(number) for number in range(60))
sys.argv = ["orchestrator", "doctor", "--pre", "--offline"]
main.main()
"""


@pytest.mark.parametrize("rows", [10, 24, 100])
def test_what_moves_erases_nothing_that_stays(home, rows):
    """Three areas of twenty checks each, on terminals that are lower than an area, and higher than all."""
    kept = kept_on(on_a_terminal(("-c", MANY), home=home, rows=rows, NO_COLOR="1"))
    ids = [line.split()[1] for line in kept if line.startswith("  ✓ ")]
    assert ids == [f"a.{number:03}" for area in range(3) for number in range(area, 60, 3)]
    titles = [line for line in kept if line in AREA_TITLES.values()]
    assert titles == ["This machine", "GPU", "GPU in containers"]
    assert kept[-1].startswith("✓ 60 passed")


HANGS = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from orchestrator.cli import main
from orchestrator.doctor import catalogue
from orchestrator.doctor.check import Check, passed

def hangs(context):
    with ThreadPoolExecutor(1) as pool:  # a thread that Python waits for at its end
        pool.submit(time.sleep, 40).result()

catalogue.CHECKS = (
    Check(id="a.hangs", area="host", question="Is it?", reads=("it",), severity="fail", answer=hangs, timeout_s=0.3),
    Check(id="a.well", area="host", question="Is it?", reads=("it",), severity="fail", answer=lambda c: passed("1")),
)
sys.argv = ["orchestrator", "doctor", "--pre", "--offline", "--json"]
main.main()
"""


def test_a_check_that_hangs_for_good_does_not_keep_the_process(home):
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=50, check=False)
    assert time.monotonic() - began < 30
    assert done.returncode == 3
    found = {finding["id"]: finding["verdict"] for finding in json.loads(done.stdout)["findings"]}
    assert found == {"a.hangs": "error", "a.well": "pass"}


def test_ctrl_c_exits_130(home):
    slow = HANGS.replace("timeout_s=0.3", "timeout_s=100").replace(
        "def hangs(context):", "def hangs(context):\n    print('asked', file=sys.stderr, flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().strip() == "asked"
    process.send_signal(signal.SIGINT)
    out, _err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"


# The records


def test_the_list_is_for_people_too(capfd):
    assert run(["doctor", "--list"]) == 0
    shown = capfd.readouterr().out
    for check in catalogue.CHECKS:
        marks = f"{check.severity}, --fix" if check.fix else check.severity
        assert f"  {check.id:<24} {check.question}  {marks}" in shown.splitlines()


def test_an_explanation_says_all_of_one_check(capfd):
    assert run(["doctor", "--explain", "docker.daemon"]) == 0
    shown = capfd.readouterr().out
    for part in ("Does a Docker engine answer?", "/info and /version", "docker.cli", "compose.version", "fail"):
        assert part in shown
