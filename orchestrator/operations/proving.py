"""Verification as `up` and `verify` use it: every probe runs; one that fails stops the word "ready"."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.operations.secrets import read_secrets
from orchestrator.operations.stack import Stack
from orchestrator.progress import Progress
from orchestrator.result import Finding
from orchestrator.verify.run import Addresses, Keys, run_verification


def prove(stack: Stack, progress: Progress) -> tuple[Finding, ...]:
    """The findings when all passed; raises `verification_failed` with them when one did not."""
    progress.step("verify the vectors")
    findings = examine(stack, progress)
    bad = [finding for finding in findings if finding.verdict in ("fail", "error")]
    if bad:
        raise OrchestratorError(
            "verification_failed",
            f"the stack runs but is not right: {'; '.join(f'{f.id}: {f.reason}' for f in bad)}",
            remedy=" ".join(f.remedy.text for f in bad if f.remedy.text) or "orchestrator logs embeddings",
            evidence="\n".join(f"{f.id}: {f.evidence}" for f in bad),
            findings=findings,
        )
    return findings


def examine(stack: Stack, progress: Progress) -> tuple[Finding, ...]:
    findings = run_verification(stack.plan, addresses_of(stack), keys_of(read_secrets(stack.folder)), progress)
    return tuple(
        msgspec.structs.replace(finding, remedy=finding.remedy.for_stack(stack.plan.stack)) for finding in findings
    )


def addresses_of(stack: Stack) -> Addresses:
    return Addresses(
        embeddings=stack.url("embeddings"),
        webui=stack.url("webui") if stack.has("webui") else None,
        vectors=stack.url("vectors") if stack.has("vectors") else None,
        embeddings_from_webui=stack.embeddings_url_for_webui if stack.has("webui") else None,
    )


def keys_of(secrets: Mapping[str, str]) -> Keys:
    return Keys(embeddings=secrets.get("embeddings_api_key", ""), webui=secrets.get("webui_api_key", ""))
