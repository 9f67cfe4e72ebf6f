"""When a service is ready: it answers, and for the embedding server its model is listed (or loaded, Ollama)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

from orchestrator.engines.engine import Running
from orchestrator.errors import OrchestratorError
from orchestrator.operations.failure import start_failure
from orchestrator.operations.stack import Stack
from orchestrator.progress import Progress
from orchestrator.services.service import Service
from orchestrator.waiting import DeadlineError, wait_until

PROBE_TIMEOUT_S = 5.0


def readiness(stack: Stack, secrets: Mapping[str, str], progress: Progress) -> Callable[[Service], None]:
    """What an engine calls for each service it started: returns when it is ready, raises with its last words."""

    def ready(service: Service) -> None:
        if not_ready(stack, service, secrets) is not None:
            _wait(stack, service, secrets, progress)
        if service.name == "ollama":
            _prepare_ollama(stack, progress)

    return ready


def _wait(stack: Stack, service: Service, secrets: Mapping[str, str], progress: Progress) -> None:
    progress.note(f"waiting for {service.name} at {stack.url(service.role)}")
    restarts_before = _restarts(stack, service)

    def probe() -> str | None:
        reason = not_ready(stack, service, secrets)
        if reason is not None:
            _raise_if_dead(stack, service, restarts_before)
        return reason

    try:
        waited_s = wait_until(probe, service.start_deadline_s)
    except DeadlineError as late:
        raise start_failure(stack, service.role, f"{late.reason}, still after {service.start_deadline_s} s") from None
    progress.note(f"{service.name} is ready after {waited_s:.1f} s")


def not_ready(stack: Stack, service: Service, secrets: Mapping[str, str]) -> str | None:
    """None when ready, else why not yet."""
    reason = _unanswered(stack.url(service.role) + service.health.path)
    if reason is None and service.role == "embeddings" and service.name != "ollama":
        reason = _unlisted(stack, secrets)
    return reason


def _unanswered(url: str) -> str | None:
    import httpx

    try:
        # No TLS on loopback: without `verify=False` httpx loads the machine's certificates first (0.2 s, measured).
        answer = httpx.get(url, timeout=PROBE_TIMEOUT_S, trust_env=False, verify=False)  # noqa: S501
    except httpx.HTTPError as error:
        return f"no answer at {url}: {type(error).__name__}"
    return None if answer.status_code == 200 else f"{url} answers {answer.status_code}"


def _unlisted(stack: Stack, secrets: Mapping[str, str]) -> str | None:
    """`/health` says the process lives; only the model list says that the model can be asked (facts 1.5, 2.4)."""
    from orchestrator.clients.embeddings import EmbeddingsClient

    client = EmbeddingsClient(
        stack.url("embeddings"), secrets["embeddings_api_key"], stack.plan.served_name, timeout_s=PROBE_TIMEOUT_S
    )
    try:
        with closing(client):
            models = client.models()
    except OrchestratorError as error:
        return error.message
    listed = stack.plan.served_name in models
    return None if listed else f"model {stack.plan.served_name} is not listed (listed: {', '.join(models) or 'none'})"


def _seen(stack: Stack, service: Service) -> Running | None:
    return next((running for running in stack.engine.observe() if running.role == service.role), None)


def _restarts(stack: Stack, service: Service) -> int:
    seen = _seen(stack, service)
    return seen.restarts if seen else 0


def _raise_if_dead(stack: Stack, service: Service, restarts_before: int) -> None:
    """One restart while it starts is a crash: the next attempt would take as long and end the same way."""
    running = _seen(stack, service)
    if running is None or running.state == "absent":
        return
    if running.state == "exited":
        code = "" if running.exit_code is None else f" with code {running.exit_code}"
        killed = " (killed: out of memory)" if running.out_of_memory else ""
        raise start_failure(stack, service.role, f"it exited{code}{killed}")
    if running.restarts > restarts_before:
        raise start_failure(stack, service.role, "it ended while starting and was started again")


def _prepare_ollama(stack: Stack, progress: Progress) -> None:
    """The server is up; now its model: pulled, derived with a context that cuts nothing, loaded where planned."""
    from orchestrator.clients.ollama import OllamaClient, prepare_model
    from orchestrator.models.store import path_of

    with OllamaClient(stack.url("embeddings")) as client:
        prepare_model(client, stack.plan, path_of(stack.plan.weights.source), progress)
        client.load(stack.plan.served_name)
        reason = client.ready(stack.plan)
    if reason is not None:
        raise start_failure(stack, "embeddings", reason)
