"""Open WebUI's settings against the plan: read, compare, repair, and keep its API key."""

from __future__ import annotations

from contextlib import closing

from orchestrator.clients.embeddings import EmbeddingsClient
from orchestrator.clients.webui import WebUiClient
from orchestrator.operations.secrets import read_secrets, store_secrets
from orchestrator.operations.stack import Stack
from orchestrator.progress import Progress
from orchestrator.wiring.admin import Admin
from orchestrator.wiring.settings import Difference, desired_settings, differences
from orchestrator.wiring.wire import WireReport, read_settings, wire

WIRE_TIMEOUT_S = 60.0
"""One short text through the embedding server; the first after a start is the slowest."""


def drift(stack: Stack) -> tuple[Difference, ...]:
    """Where Open WebUI is not as the plan wants it. Changes nothing."""
    secrets = read_secrets(stack.folder)
    desired = desired_settings(stack.plan, stack.embeddings_url_for_webui, secrets["embeddings_api_key"])
    with closing(WebUiClient(stack.url("webui"), token=secrets["webui_api_key"])) as webui:
        return differences(desired, read_settings(webui))


def rewire(stack: Stack, progress: Progress) -> WireReport:
    """Make it so; a second run changes nothing. Stores the API key that Open WebUI made."""
    secrets = read_secrets(stack.folder)
    desired = desired_settings(stack.plan, stack.embeddings_url_for_webui, secrets["embeddings_api_key"])
    admin = Admin(
        email=secrets["webui_admin_email"],
        password=secrets["webui_admin_password"],
        api_key=secrets["webui_api_key"],
    )
    embeddings = EmbeddingsClient(
        stack.url("embeddings"), secrets["embeddings_api_key"], stack.plan.served_name, WIRE_TIMEOUT_S
    )
    with closing(WebUiClient(stack.url("webui"))) as webui, closing(embeddings):
        report = wire(webui, embeddings, desired, admin, progress)
    if report.api_key_is_new:
        store_secrets(stack.folder, {**secrets, "webui_api_key": report.api_key})
    return report
