"""All that `doctor` may look at, gathered once: the machine, and the stack of that name where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from orchestrator.doctor.context import Context, StackView
from orchestrator.engines.engine import Running
from orchestrator.errors import OrchestratorError
from orchestrator.facts.records import Facts
from orchestrator.operations.deciding import decision_for
from orchestrator.operations.failure import redact
from orchestrator.operations.planning import facts_for, pins_hash
from orchestrator.operations.proving import addresses_of, keys_of
from orchestrator.operations.record import Intent, read_intent
from orchestrator.operations.request import Asked, request
from orchestrator.operations.secrets import ensure_secrets, read_secrets
from orchestrator.operations.stack import Stack, stack_of
from orchestrator.operations.wiring import rewire
from orchestrator.plan.records import Role
from orchestrator.plan.spec import Spec
from orchestrator.progress import Silent
from orchestrator.state import StackFolder, locked
from orchestrator.verify.run import Keys
from orchestrator.wiring.settings import desired_settings

FIX_WAIT_S = 30.0
"""How long a fix waits for a command that is at work on the stack (estimate: longer than `wire`, shorter than `up`)."""


def machine_context(*, offline: bool = False) -> Context:
    """The machine alone: for `doctor --pre`, which neither plans nor looks at a stack."""
    from orchestrator.facts.read import read_facts

    return Context(
        spec=Spec(), facts=read_facts(offline=offline), offline=offline, no_plan="only the machine was asked about"
    )


def context_of(name: str, *, offline: bool = False, thorough: bool = False) -> Context:
    """The stack as its last `up` planned it; else what `up` would plan now, or why nothing can be planned."""
    folder = StackFolder(name)
    intent = read_intent(folder)
    if intent is None:
        return _of_no_stack(folder, offline=offline, thorough=thorough)
    plan = intent.decision.plan
    stack = stack_of(plan, folder)
    return Context(
        spec=intent.spec,
        # The engine as it was chosen: Docker is nobody's business where the stack runs without it.
        facts=facts_for(msgspec.structs.replace(intent.spec, engine=plan.engine), folder, offline=offline),
        plan=plan,
        folder=folder,
        offline=offline,
        running=_seen(stack),
        services=stack.services,
        stack=view_of(stack, intent),
        thorough=thorough,
    )


def view_of(stack: Stack, intent: Intent) -> StackView:
    folder, plan = stack.folder, stack.plan
    secrets = read_secrets(folder)
    desired = None
    if stack.has("webui"):
        desired = desired_settings(plan, stack.embeddings_url_for_webui, keys_of(secrets).embeddings)

    def redacted(text: str) -> str:
        return redact(text, secrets.values())

    def keys() -> Keys:
        return keys_of(read_secrets(folder))

    def logs(role: Role, lines: int) -> list[str]:
        return [redacted(line) for line in stack.engine.logs(role, lines)]

    @contextmanager
    def alone() -> Iterator[None]:
        with locked(folder, "doctor", wait_s=0):
            yield

    def set_again() -> None:
        with locked(folder, "doctor --fix", wait_s=FIX_WAIT_S):
            rewire(stack, Silent())

    def write_again() -> None:
        with locked(folder, "doctor --fix", wait_s=FIX_WAIT_S):
            stack.engine.write(stack.services, stack.files, ensure_secrets(folder))

    return StackView(
        files=stack.files,
        plan_is_current=intent.pins_hash == pins_hash(),
        addresses=addresses_of(stack),
        keys=keys,
        desired=desired,
        observe=stack.engine.observe,
        logs=logs,
        redact=redacted,
        alone=alone,
        rewire=set_again,
        render=write_again,
    )


def _of_no_stack(folder: StackFolder, *, offline: bool, thorough: bool) -> Context:
    spec = request(Asked(flags={"stack": folder.name})).spec
    facts = facts_for(spec, folder, offline=offline)
    context = Context(spec=spec, facts=facts, folder=folder, offline=offline, thorough=thorough)
    stack = _planned(spec, facts, folder)
    if isinstance(stack, str):
        return msgspec.structs.replace(context, no_plan=stack)
    return msgspec.structs.replace(context, plan=stack.plan, services=stack.services)


def _planned(spec: Spec, facts: Facts, folder: StackFolder) -> Stack | str:
    """Put together, not started; or why this machine can have none."""
    try:
        return stack_of(decision_for(spec, facts).plan, folder)
    except OrchestratorError as error:
        return f"no plan fits this machine: {error.message}"


def _seen(stack: Stack) -> tuple[Running, ...]:
    """Nothing where its engine does not answer: docker.daemon says so."""
    try:
        return stack.engine.observe()
    except OrchestratorError:
        return ()
