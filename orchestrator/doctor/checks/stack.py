"""The services of a stack as its engine sees them. `stack.state` is the root of all that a running stack is asked."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

from orchestrator.doctor.causes import match_cause
from orchestrator.doctor.check import Answer, Check, bad, not_applicable, passed, warned
from orchestrator.doctor.checks.asked import webui_of
from orchestrator.doctor.context import Context
from orchestrator.engines.engine import Running
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Role
from orchestrator.result import Remedy

CAUSE_LINES = 200
"""The cause stands well above the last line in vLLM's logs (facts/embedding-servers.md 1.9)."""
TAIL_LINES = 8
KILLED = {137: signal.SIGKILL, -9: signal.SIGKILL}
RESTARTS = 2
RECENTLY = timedelta(minutes=10)
"""Once is an accident, twice within minutes a pattern (estimate)."""
STATE_S = 10.0
ENGINE_S = 12.0


def state(context: Context) -> Answer:
    try:
        seen = {each.role: each for each in context.existing.observe()}
    except OrchestratorError as error:
        if error.code == "docker_unreachable":
            return not_applicable("no Docker engine answers, so nobody knows: see docker.daemon")
        raise
    roles = context.planned.roles
    evidence = "; ".join(f"{role} {_shown(seen.get(role))}" for role in roles)
    ill = [role for role in roles if role not in seen or seen[role].state != "running"]
    if len(ill) == len(roles) and all(role not in seen or _never_ended_badly(seen[role]) for role in ill):
        reason = "no service of this stack runs: it was taken down, or the machine was restarted"
        return bad(evidence, reason, "start it:", context.command("up"))
    if ill:
        return _ill(context, ill[0], seen.get(ill[0]), evidence)
    hurt = [seen[role] for role in roles if seen[role].out_of_memory]
    if hurt:
        reason = f"the kernel ended a process of {hurt[0].role} because memory ran out; what is left may not work"
        return bad(evidence, reason, "plan with the memory that is there:", context.up_with("--replan"))
    restless = [seen[role] for role in roles if _is_restless(seen[role])]
    if restless:
        each = restless[0]
        return warned(
            evidence,
            f"{each.role} was started again {each.restarts} times, the last time within {_minutes()} minutes",
            "its log says why:",
            context.command("logs", each.role),
        )
    return passed(evidence)


def health(context: Context) -> Answer:
    """The engine's own verdicts; where it has none, each service is asked by its own check, Open WebUI here."""
    running = context.existing.observe()
    unhealthy = [each for each in running if each.healthy is False]
    if unhealthy:
        each = unhealthy[0]
        return bad(
            f"{each.role}: unhealthy; last probe: {_last_probe(each)}",
            f"the engine's health check of {', '.join(e.role for e in unhealthy)} fails",
            "its log says why; a service that stays so is made anew by:",
            context.command("logs", each.role),
            context.command("up"),
        )
    told = "; ".join(f"{each.role} healthy" for each in running if each.healthy)
    if "webui" not in context.planned.roles:
        return passed(told or "this engine checks no health, and each service has a check of its own")
    return _webui_answers(context, told)


def _webui_answers(context: Context, told: str) -> Answer:
    try:
        with webui_of(context) as webui:
            if webui.ready():
                return passed("; ".join(filter(None, (told, f"{webui.base_url}/ready answers 200"))))
            evidence = f"{webui.base_url}/ready does not answer 200"
    except OrchestratorError as error:
        evidence = error.evidence
    return bad(
        evidence,
        "Open WebUI runs and does not answer: it is still starting (a minute), or it hangs",
        "wait a minute, then see its log:",
        context.command("logs", "webui"),
    )


def _ill(context: Context, role: Role, seen: Running | None, evidence: str) -> Answer:
    lines = context.existing.logs(role, CAUSE_LINES)
    cause = match_cause("\n".join(lines))
    evidence = "\n".join((evidence, f"last lines of {role}:", *lines[-TAIL_LINES:])) if lines else evidence
    reason = f"{role} {_shown(seen)}"
    if cause is None:
        return bad(
            evidence, reason, "see its log, then start it:", context.command("logs", role), context.command("up")
        )
    return Answer(
        verdict="bad",
        evidence=evidence,
        reason=f"{reason}: {cause.cause}",
        remedy=Remedy(text=cause.remedy, commands=(*cause.commands, context.command("logs", role))),
    )


def _shown(seen: Running | None) -> str:
    if seen is None:
        return "is not there"
    who = seen.container or (f"pid {seen.pid}" if seen.pid else "")
    if seen.state == "running":
        again = f", restarted {seen.restarts} times" if seen.restarts else ""
        return f"runs ({who}{again})"
    if seen.state == "absent":
        return f"runs without its supervisor ({who})" if seen.pid else "does not run"
    words = {"starting": "is starting", "restarting": "restarts again and again", "exited": "has ended"}[seen.state]
    return f"{words}{_ending(seen)}"


def _ending(seen: Running) -> str:
    if seen.exit_code is None:
        return ""
    if seen.out_of_memory:
        return f" (exit code {seen.exit_code}: memory ran out)"
    if seen.exit_code in KILLED:
        return f" (exit code {seen.exit_code}: SIGKILL, from the kernel where memory ran out, or from a person)"
    return f" (exit code {seen.exit_code})"


def _never_ended_badly(seen: Running) -> bool:
    return seen.state == "absent" and seen.pid is None


def _is_restless(seen: Running) -> bool:
    recently = seen.started_at is not None and datetime.now(UTC) - seen.started_at < RECENTLY
    return seen.restarts >= RESTARTS and recently


def _minutes() -> int:
    return int(RECENTLY.total_seconds() // 60)


def _last_probe(seen: Running) -> str:
    from orchestrator.engines.compose_containers import last_probe

    return last_probe(seen.container) if seen.container else "not told"


STATE = Check(
    id="stack.state",
    area="stack",
    question="Does every service of the stack run?",
    reads=("the engine's view: state, exit code, restarts, OOMKilled", "the last lines of a service that does not run"),
    severity="fail",
    stage="stack",
    timeout_s=STATE_S,
    answer=state,
)
HEALTH = Check(
    id="stack.health",
    area="stack",
    question="Does the engine find every service healthy, and does Open WebUI answer?",
    reads=("the health verdict of every container, with its last probe's output", "GET /ready of Open WebUI"),
    needs=("stack.state",),
    severity="fail",
    stage="stack",
    timeout_s=ENGINE_S,
    answer=health,
)
CHECKS = (STATE, HEALTH)
