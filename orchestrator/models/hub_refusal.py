"""The hub's refusals as ours: what happened, and the exact thing to do. A token never reaches the text."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from orchestrator.errors import OrchestratorError, usage_error
from orchestrator.plan.records import WeightsSource

_Rule = Callable[[Exception, WeightsSource, str], OrchestratorError]
AIR_GAPPED = "or copy the model here and name it: --model PATH"


def refusal(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    """Most specific first: GatedRepoError is a RepositoryNotFoundError, which is an HfHubHTTPError."""
    from huggingface_hub import errors

    if isinstance(error, OrchestratorError):
        return error
    rules: tuple[tuple[type[Exception], _Rule], ...] = (
        (errors.OfflineModeIsEnabled, _offline),
        (errors.GatedRepoError, _gated),
        (errors.RevisionNotFoundError, _no_revision),
        (errors.EntryNotFoundError, _no_file),
        (errors.RepositoryNotFoundError, _no_repository),
        (errors.HFValidationError, _bad_name),
        (errors.HfHubHTTPError, _of_status),
        (OSError, _of_system),
    )
    for kind, rule in rules:
        if isinstance(error, kind):
            return rule(error, source, endpoint)
    return _unreachable(error, source, endpoint)


def _offline(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    return _error("hub_offline", "HF_HUB_OFFLINE forbids it to ask the hub", f"unset HF_HUB_OFFLINE, {AIR_GAPPED}")


def _gated(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    said = "this token's account has no access yet" if token_given() else "no token was sent"
    return _error(
        "hub_gated",
        f"{source.reference} is gated: {said}",
        f"accept its terms at {endpoint}/{source.reference}, then: export HF_TOKEN=<a token of that account>",
    )


def _no_revision(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    return _error(
        "hub_no_such_revision",
        f"{source.reference} has no revision {source.revision}",
        f"see {endpoint}/{source.reference}/commits/main",
    )


def _no_file(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    return _error("hub_no_such_file", f"{source.reference}: a listed file is gone ({_status(error)})", "run it again")


def _no_repository(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    token = "the token that was sent cannot see it" if token_given() else "no token was sent"
    return _error(
        "hub_no_such_repository",
        f"{source.reference} does not exist at {endpoint}, or is private and {token}",
        "check the name; for a private one: export HF_TOKEN=<a token that may read it>",
    )


def _bad_name(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    return usage_error("model", source.reference, "this is no repository name", "write it as owner/name")


def _of_system(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _error(
            "disk_full",
            f"the disk is full while {source.reference} comes down",
            "free some space, or move ORCHESTRATOR_HOME to a larger disk; what has arrived is kept",
        )
    return _unreachable(error, source, endpoint)


def _unreachable(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    return _error(
        "hub_unreachable",
        f"{endpoint} does not answer, or breaks off: {type(error).__name__}: {error}",
        f"check the network and HTTPS_PROXY, or name a mirror with HF_ENDPOINT, {AIR_GAPPED}; run it again to go on",
    )


def token_given() -> bool:
    from huggingface_hub import get_token

    return bool(os.environ.get("HF_TOKEN") or get_token())


def _of_status(error: Exception, source: WeightsSource, endpoint: str) -> OrchestratorError:
    status = _status(error)
    if status == 401:
        return _error(
            "hub_bad_token",
            f"{endpoint} refuses the token (401)",
            "make a new one and export HF_TOKEN=<it>, or unset HF_TOKEN: public models need none",
        )
    if status == 403:
        return _error(
            "hub_forbidden",
            f"{endpoint} forbids {source.reference} (403)",
            f"accept its terms at {endpoint}/{source.reference}, or use a token with read permission (HF_TOKEN)",
        )
    if status == 429:
        headers = getattr(getattr(error, "response", None), "headers", {})
        after = headers.get("retry-after")
        when = f"in {after} s" if after else "in a few minutes"
        sent = "" if token_given() else "; with a token the limit is higher: export HF_TOKEN=<token>"
        return _error("hub_rate_limited", f"{endpoint} asks to slow down (429)", f"run it again {when}{sent}")
    return _error(
        "hub_unavailable",
        f"{endpoint} answered {status} for {source.reference}",
        f"run it again later, or name a mirror with HF_ENDPOINT, {AIR_GAPPED}",
    )


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _error(code: str, message: str, remedy: str) -> OrchestratorError:
    return OrchestratorError(code, message, remedy=remedy)
