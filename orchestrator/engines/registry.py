"""Does a container registry have an image, asked as an engine would ask it: one HEAD of the manifest, with a token.

A HEAD moves no layers and does not count against Docker Hub's pull limit (Docker's page on it). Nothing is pulled.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

HUB = "registry-1.docker.io"
HUB_LOGIN = "https://index.docker.io/v1/"
"""The name that `docker login` keeps the credentials of Docker Hub under."""
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """`docker.io/chromadb/chroma:1.5.9`, taken apart."""

    host: str
    """Where its API answers."""
    repository: str
    version: str
    """The digest where there is one, else the tag."""


class RegistryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`status` is None where nothing answered; then `said` tells why."""

    status: int | None
    said: str
    retry_after: str | None = None


def reference_of(image: str) -> Reference:
    """As Docker reads a name: what has no dot, no port and is not `localhost` is a folder of Docker Hub."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    if slash and (re.search(r"[.:]", first) or first == "localhost"):
        host, path = first, rest
    else:
        host, path = "docker.io", name
    path, _, tag = path.partition(":")
    if host == "docker.io":
        host = HUB
        path = path if "/" in path else f"library/{path}"
    return Reference(host=host, repository=path, version=digest or tag or "latest")


def ask_registry(image: str, timeout_s: float, *, mirror: str | None = None) -> RegistryAnswer:
    """Never raises. `mirror` is the base URL of one that the engine asks first for images of Docker Hub."""
    reference = reference_of(image)
    base = mirror.rstrip("/") if mirror else f"{_scheme(reference.host)}://{reference.host}"
    url = f"{base}/v2/{reference.repository}/manifests/{reference.version}"
    login = credentials_of(urlsplit(base).netloc)
    opener = _opener()

    def head(authorization: str = "") -> tuple[int | None, dict[str, str], str]:
        headers = {"Accept": MANIFESTS, **({"Authorization": authorization} if authorization else {})}
        return _ask(opener, url, "HEAD", headers, timeout_s)

    status, headers, said = head()
    challenge = headers.get("www-authenticate", "")
    if status == 401 and challenge.lower().startswith("bearer"):
        token = _token(opener, challenge, reference, login, timeout_s)
        if isinstance(token, RegistryAnswer):
            return token
        status, headers, said = head(f"Bearer {token}")
    elif status == 401 and login is not None:
        status, headers, said = head(f"Basic {login}")
    return RegistryAnswer(status=status, said=said, retry_after=headers.get("retry-after"))


def credentials_of(host: str) -> str | None:
    """`user:password` in base64, as `docker login` keeps it where there is no credential store."""
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        kept = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auths") or {}
        return kept.get(HUB_LOGIN if host == HUB else host, {}).get("auth") or None
    except (OSError, ValueError, AttributeError):
        return None


def _token(
    opener: OpenerDirector, challenge: str, reference: Reference, login: str | None, timeout_s: float
) -> str | RegistryAnswer:
    """The registry names the place that hands out tokens; anonymous ones where nobody is logged in."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    asked = {"service": said.get("service", ""), "scope": f"repository:{reference.repository}:pull"}
    headers = {"Authorization": f"Basic {login}"} if login else {}
    status, answered, body = _ask(opener, f"{said.get('realm', '')}?{urlencode(asked)}", "GET", headers, timeout_s)
    if status != 200:
        return RegistryAnswer(status=status, said=body, retry_after=answered.get("retry-after"))
    try:
        given = json.loads(body)
        return str(given.get("token") or given["access_token"])
    except (ValueError, KeyError, AttributeError):
        return RegistryAnswer(status=None, said="the place that hands out tokens answered with something else")


def _ask(
    opener: OpenerDirector, url: str, method: str, headers: dict[str, str], timeout_s: float
) -> tuple[int | None, dict[str, str], str]:
    """Status, headers, and the body or (HEAD, refusals) what happened in a few words."""
    import urllib.error
    import urllib.request

    host = urlsplit(url).hostname or url
    request = urllib.request.Request(url, method=method, headers={"User-Agent": "orchestrator", **headers})  # noqa: S310
    try:
        with opener.open(request, timeout=timeout_s) as response:
            body = response.read().decode(errors="replace") if method == "GET" else f"{host} answered {response.status}"
            return response.status, _lower(response.headers), body
    except urllib.error.HTTPError as error:
        return error.code, _lower(error.headers), f"{host} answered {error.code}"
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        return None, {}, f"{host}: {getattr(why, 'strerror', None) or why}"


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _scheme(host: str) -> str:
    """As the engine: plain HTTP to this machine only."""
    return "http" if re.match(r"127\.|localhost(?::|$)|\[::1\]", host) else "https"


def _opener() -> OpenerDirector:
    """Without redirects: a credential must not follow one to another host."""
    import urllib.request

    class Here(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments: Any) -> None:
            return None

    return urllib.request.build_opener(Here)
