from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.options import asked_of, json_option, lock_option, spec_options, stack_option

EPILOG = """\b
Examples:
  orchestrator run -- pytest tests                        against a stack of its own, gone afterwards
  orchestrator run embed --engine native -- ./index.sh    the embedding server alone
  orchestrator run --stack default -- env                 a stack that is up stays up
"""


class CommandAfterDashes(click.Command):
    """What stands after `--` is somebody else's command line: none of it is an option of ours, or PRESET."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = args[at + 1 :]
        return super().parse_args(ctx, args[:at])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- CMD..."]


@click.command("run", cls=CommandAfterDashes, epilog=EPILOG)
@spec_options
@stack_option
@lock_option
@json_option
@click.pass_obj
def command(cmd: list[str], /, as_json: bool, lock_timeout_s: float, **flags: Any) -> int:
    """Run CMD with a verified stack in its environment; take down what was brought up; end with CMD's exit code.

    CMD finds EMBEDDINGS_URL, EMBEDDINGS_MODEL, EMBEDDINGS_API_KEY, OPENAI_BASE_URL, OPENAI_API_KEY, WEBUI_URL,
    WEBUI_API_KEY, CHROMA_URL and ORCHESTRATOR_STACK_NAME. Where nothing names a stack (--stack, the variable,
    orchestrator.yaml), it gets one of its own, with free ports, whose data goes with it. A stack that was up stays up.
    With --json, CMD's output goes to stderr.
    """
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.cli.up import show_plan
    from orchestrator.operations.lending import loan_of
    from orchestrator.operations.run import check_command, run

    check_command(cmd)
    loan = loan_of(asked_of(flags), lock_timeout_s=lock_timeout_s)
    return finish(run(loan, cmd, progress, show_plan, stdout=2 if as_json else 1), as_json)
