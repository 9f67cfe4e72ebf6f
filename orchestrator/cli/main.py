"""The command line's front door: finds the verb, catches the one exception type, sets the exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from importlib import import_module
from typing import Any

import click

from orchestrator.errors import EXIT_INTERRUPTED, EXIT_TOOL, EXIT_USAGE, OrchestratorError

COMMANDS: dict[str, str] = {
    "up": "Bring a verified stack up; does nothing where nothing changed.",
    "run": "Run a command with a verified stack in its environment; take down what was brought up.",
    "down": "Stop everything that the stack started; keeps the data.",
    "status": "What runs, where, how healthy, and where the credentials are.",
    "verify": "Prove on the running stack that the vectors are right.",
    "doctor": "Ask this machine and the stack every question that can explain a failure.",
    "plan": "Decide model, backend and memory for this machine and show every number.",
    "bench": "Measure documents per second that can be believed.",
    "logs": "The last log lines of each service, with matched causes.",
    "wire": "Set Open WebUI as the plan says, read back, compare.",
    "render": "Write the stack's plain files and leave; they run without this tool.",
    "init": "Write a commented orchestrator.yaml for this machine.",
    "config": "Show what holds here and who set it; print the JSON Schema.",
    "lock": "Resolve the pinned images to digests, which `up` then uses.",
    "completion": "Print the completion script for bash, zsh or fish.",
}
"""Verb → its one line in `--help`. The verbs' modules load only when they are called: `--help` stays instant."""


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"orchestrator.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - a verb module without its command is our own bug
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as unknown:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1) if args else []
            if near:
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from unknown
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"orchestrator {version('orchestrator')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start here:  orchestrator up",
)
@click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show it.")
def cli(debug: bool) -> None:
    """Stand up, verify and operate a self-hosted multilingual retrieval stack.

    An embedding server (vLLM, Ollama or llama.cpp), ChromaDB and Open WebUI, planned from this machine's own
    numbers, wired through their APIs, and proven before it is called ready.
    """


def run(argv: list[str]) -> int:
    """Run one command; returns its exit code. Everything that can go wrong ends here."""
    wants_json = "--json" in argv[: argv.index("--")] if "--" in argv else "--json" in argv
    name = next((word for word in argv if word in COMMANDS), "orchestrator")
    try:
        outcome: Any = cli.main(
            args=argv, prog_name="orchestrator", complete_var="_ORCHESTRATOR_COMPLETE", standalone_mode=False
        )
        return int(outcome or 0)
    except OrchestratorError as error:
        _reraise_for_debug(argv)
        return _fail(name, error, wants_json)
    except click.UsageError as error:
        return _usage(name, error, wants_json)
    except (KeyboardInterrupt, click.Abort):
        interrupted = OrchestratorError(
            "interrupted",
            "interrupted",
            remedy=f"run `orchestrator {name}` again: it goes on from where this one stopped",
            exit_code=EXIT_INTERRUPTED,
        )
        return _fail(name, interrupted, wants_json)
    except BrokenPipeError:
        return EXIT_TOOL
    except Exception as bug:
        _reraise_for_debug(argv)
        broken = OrchestratorError(
            "internal",
            f"{type(bug).__name__}: {bug}",
            remedy="this is a fault of orchestrator; `orchestrator --debug ...` shows where",
            exit_code=EXIT_TOOL,
        )
        return _fail(name, broken, wants_json)


def _reraise_for_debug(argv: list[str]) -> None:
    if "--debug" in argv:
        raise  # noqa: PLE0704 - called from an except block only


def _fail(name: str, error: OrchestratorError, wants_json: bool) -> int:
    from orchestrator.cli.output import finish
    from orchestrator.result import failed

    return finish(failed(name, error), wants_json)


def _usage(name: str, error: click.UsageError, wants_json: bool) -> int:
    from orchestrator.cli.output import finish
    from orchestrator.result import Problem, Result

    remedy = f"orchestrator {name} --help" if name in COMMANDS else "orchestrator --help"
    problem = Problem(code="usage", message=error.format_message(), remedy=remedy)
    return finish(Result(command=name, error=problem, exit_code=EXIT_USAGE), wants_json)


def main() -> None:
    signal.signal(signal.SIGTERM, _end_like_ctrl_c)
    _leave(run(sys.argv[1:]))


def _leave(code: int) -> None:
    """At once, also where a check hangs: Python would wait for a pool of threads that such a check had opened."""
    if threading.active_count() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _end_like_ctrl_c(_signal: int, _frame: object) -> None:
    """A pipeline's SIGTERM cleans up as Ctrl-C does: `verify` removes its traces, locks are let go."""
    raise KeyboardInterrupt
