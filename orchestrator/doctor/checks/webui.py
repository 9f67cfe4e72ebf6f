"""Open WebUI: set as the plan wants it, and reaching the embedding server from where it runs."""

from __future__ import annotations

from orchestrator.doctor.check import Fix
from orchestrator.doctor.checks.asked import asked, webui_of
from orchestrator.doctor.context import Context
from orchestrator.result import Finding
from orchestrator.verify.question import Question
from orchestrator.verify.stack import EFFECTIVE, PATH, probe_effective, probe_path


def effective(context: Context) -> Finding:
    desired = context.existing.desired
    if desired is None:
        return _no_webui(EFFECTIVE)
    with webui_of(context) as webui:
        return probe_effective(webui, desired)


def path(context: Context) -> Finding:
    desired = context.existing.desired
    if desired is None:
        return _no_webui(PATH)
    with webui_of(context) as webui:
        return probe_path(webui, desired)


def set_again(context: Context) -> None:
    context.existing.rewire()


def _no_webui(question: Question) -> Finding:
    return question.skipped("the plan has no Open WebUI")


WEBUI_EFFECTIVE = asked(
    EFFECTIVE,
    effective,
    reads=("Open WebUI's embedding, retrieval and admin settings, through its API",),
    needs=("stack.health",),
    fix=Fix(text="set Open WebUI as planned, as `orchestrator wire` does", apply=set_again),
)
WEBUI_PATH = asked(
    PATH,
    path,
    reads=("the model list of the embedding server, asked by Open WebUI itself",),
    needs=("embed.ready",),
)
CHECKS = (WEBUI_EFFECTIVE, WEBUI_PATH)
