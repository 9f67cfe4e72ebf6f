"""A foreign command as a child: its exit code, its output, and signals, with real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from orchestrator.operations.child import FORWARDED, run_child
from orchestrator.waiting import wait_until

PARENT = """
import os, signal, sys
for each in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    signal.signal(each, signal.SIG_DFL)  # a test run in the background ignores them
from orchestrator.operations.child import run_child
code = run_child([sys.executable, "-c", sys.argv[1]], os.environ)
print("parent goes on", flush=True)
sys.exit(code)
"""
CALL = '[sys.executable, "-c", sys.argv[1]]'
SHELL_CALL = '["sh", "-c", "echo shell waits; sleep 60; true"]'
WAITS = """
import signal, sys, time
def told(number, frame):
    print("child got", signal.Signals(number).name, flush=True)
    sys.exit(9)
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, told)
print("child waits", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("code", "expected"), [("exit 0", 0), ("exit 42", 42), ("kill -KILL $$", 128 + 9)])
def test_the_exit_code_is_the_commands(code: str, expected: int) -> None:
    assert run_child(["sh", "-c", code], os.environ) == expected


def test_its_end_is_seen_where_other_threads_take_the_signal() -> None:
    """The kernel may hand SIGCHLD to any thread that does not block it; what it does there is nothing."""
    over = threading.Event()
    others = [threading.Thread(target=over.wait, daemon=True) for _ in range(4)]
    for each in others:
        each.start()
    try:
        assert [run_child(["sh", "-c", "exit 7"], os.environ) for _ in range(10)] == [7] * 10
    finally:
        over.set()


def test_a_signal_that_another_thread_takes_reaches_the_command() -> None:
    threads = "for _ in range(4):\n    threading.Thread(target=threading.Event().wait, daemon=True).start()"
    threaded = f"import threading\n{threads}\n{PARENT}"
    with subprocess.Popen([sys.executable, "-c", threaded, WAITS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "child waits\n"
        parent.send_signal(signal.SIGTERM)
        out, _ = parent.communicate(timeout=30)
    assert out == "child got SIGTERM\nparent goes on\n"
    assert parent.returncode == 9


def test_the_environment_is_handed_over_and_output_goes_where_it_is_sent(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        assert run_child(["sh", "-c", "echo $GREETING"], {**os.environ, "GREETING": "hello"}, stdout=out.fileno()) == 0
    assert (tmp_path / "out").read_text() == "hello\n"


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(each) for each in FORWARDED]
    run_child(["true"], os.environ)
    assert [signal.getsignal(each) for each in FORWARDED] == before


def test_a_signal_reaches_the_commands_own_children_too() -> None:
    """A shell that waits for its command defers the signal: the command must get it as well, as from a keyboard."""
    script = f"import os\n{PARENT.replace(CALL, SHELL_CALL)}"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "shell waits\n"
        wait_until(lambda: None if "sleep" in names_below(parent.pid) else "the shell has not begun it", 20)
        parent.send_signal(signal.SIGINT)
        out, _ = parent.communicate(timeout=30)
    assert out == "parent goes on\n"
    assert parent.returncode == 128 + signal.SIGINT


def names_below(pid: int) -> set[str]:
    """A shell that is told before its command runs keeps the signal to itself."""
    found = set()
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            found.add(process.name())
    return found


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_us_alone_reaches_the_command_once(sent: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, WAITS], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "child waits\n"
        parent.send_signal(sent)
        out, _ = parent.communicate(timeout=30)
    assert out == f"child got {sent.name}\nparent goes on\n"
    assert parent.returncode == 9


def test_ctrl_c_on_a_terminal_reaches_the_command_once_and_us_not_at_all() -> None:
    """The kernel signals the whole foreground group; a second one from us would cut the command's own clean-up."""
    import pty

    ours, theirs = pty.openpty()
    script = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{PARENT}"
    counts = WAITS.replace("sys.exit(9)", "pass").replace("time.sleep(60)", "time.sleep(2)\nprint('child ends')")
    with subprocess.Popen(
        [sys.executable, "-c", script, counts],
        stdin=theirs,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "child waits\n"
        os.write(ours, b"\x03")
        out, _ = parent.communicate(timeout=30)
    os.close(ours)
    os.close(theirs)
    assert out == "child got SIGINT\nchild ends\nparent goes on\n"
    assert parent.returncode == 0
