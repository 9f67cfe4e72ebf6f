"""The stack's own administrator: made once, signed in with its password, one API key that is kept."""

from __future__ import annotations

import msgspec

from orchestrator.clients.webui import WebUiClient
from orchestrator.errors import OrchestratorError


class Admin(msgspec.Struct, frozen=True, kw_only=True):
    """The stack's own administrator, from its secrets."""

    email: str
    password: str
    api_key: str = ""
    """The key of an earlier run, or nothing."""

    def __repr__(self) -> str:
        return f"Admin({self.email})"


def open_session(webui: WebUiClient, admin: Admin) -> None:
    """Go in with the stored key; without one that works, sign in; on an Open WebUI without users, sign up first
    (WEBUI_ADMIN_* does it on a first start).

    The key comes first because sign-ins are limited to 15 in three minutes for one address (measured).
    """
    if admin.api_key and webui.accepts(admin.api_key):
        webui.use(admin.api_key)
        return
    if not webui.has_users():
        webui.sign_up("Admin", admin.email, admin.password)
        return
    if not webui.sign_in(admin.email, admin.password):
        # WEBUI_ADMIN_PASSWORD is read only while there are no users (facts 5): a changed password stays changed.
        raise OrchestratorError(
            "admin_sign_in",
            f"Open WebUI does not accept the stored password of {admin.email}",
            remedy="if the password was changed in Open WebUI, put the new one into WEBUI_ADMIN_PASSWORD of the "
            "stack's credentials file (orchestrator status names it), then: orchestrator wire",
            evidence=f"POST /api/v1/auths/signin as {admin.email} -> 400",
        )


def obtain_api_key(webui: WebUiClient, stored: str) -> str:
    """A user has one key, and a new one ends the old one: a key that a person made for this account is taken over,
    not replaced. Needs ENABLE_API_KEYS, and a session unless the stored key works."""
    if stored and webui.accepts(stored):
        return stored
    existing = webui.api_key()
    key = existing or webui.make_api_key()
    if not webui.accepts(key):
        raise OrchestratorError(
            "api_key_restricted",
            "the admin's API key is not let in",
            remedy="in Open WebUI's admin settings, lift the restriction of API keys to certain endpoints, or allow "
            "/api/v1/retrieval, /api/v1/knowledge, /api/v1/files, /api/v1/auths and /openai",
            evidence="GET /api/v1/retrieval/embedding with the key is refused",
        )
    return key
