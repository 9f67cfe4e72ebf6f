"""The one door to a running service's HTTP interface: time-outs, every upstream's error shape, no secret leaks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from orchestrator.errors import OrchestratorError

if TYPE_CHECKING:
    import httpx

KEEP_ALIVE_S = 2.0
"""Below uvicorn's 5 s, so that a pooled connection is never one that the server is just closing (derived)."""
CONNECT_TIMEOUT_S = 5.0
EVIDENCE_CHARACTERS = 600
"""How much of a foreign answer is quoted in an error."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a service said. `body` is None where it was no JSON."""

    status: int
    body: Any = None
    text: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The error text, whichever of the upstreams' shapes it came in."""
        return error_message(self.body) or self.text[:EVIDENCE_CHARACTERS]


def error_message(body: object) -> str:
    """Read `error` as an object (OpenAI), `error` as a string (vLLM's 401, Ollama) and `detail` (FastAPI)."""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    if isinstance(error, dict):
        return str(error.get("message", ""))
    if isinstance(error, str):
        return error
    detail = body.get("detail", body.get("message", ""))
    return detail if isinstance(detail, str) else json.dumps(detail)


def _answer(status: int, text: str) -> Answer:
    try:
        return Answer(status=status, body=json.loads(text), text=text)
    except ValueError:
        return Answer(status=status, text=text)


class Http:
    """Requests to one base URL of one named service, with a bearer token where it wants one."""

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        timeout_s: float,
        token: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        self.service = service
        self.base_url = base_url.rstrip("/")
        self._token = token
        # trust_env off: a proxy in the environment must never see what stays between this machine and its own stack.
        self._client = httpx.Client(
            base_url=self.base_url,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
            trust_env=False,
            # Without TLS no certificates are needed; reading them costs 0.2 s per client (measured, httpx 0.28).
            verify=self.base_url.startswith("https:"),
            transport=transport,
        )

    def with_token(self, token: str) -> None:
        self._token = token

    @property
    def token(self) -> str:
        return self._token

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | int] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """One request. Any status is an answer; only silence raises (`unreachable`)."""
        import httpx

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        extra: dict[str, Any] = {"timeout": timeout_s} if timeout_s is not None else {}
        try:
            response = self._client.request(
                method, path, json=body, params=query, files=files, headers=headers, **extra
            )
        except httpx.TimeoutException as error:
            raise self._unreachable(method, path, f"no answer in time ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(method, path, str(error) or type(error).__name__) from error
        try:
            parsed = response.json()
        except ValueError:
            parsed = None
        return Answer(status=response.status_code, body=parsed, text=self._redacted(response.text))

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | int] | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """One request whose answer must be a 2xx; returns the JSON. Anything else raises `refused`."""
        answer = self.call(method, path, body=body, query=query, files=files, timeout_s=timeout_s)
        if not answer.ok:
            raise self.refused(method, path, answer)
        return answer.body

    def stream_lines(
        self, method: str, path: str, *, body: object = None, content: Iterator[bytes] | None = None, timeout_s: float
    ) -> Iterator[Any]:
        """One request whose answer comes as JSON lines (Ollama's pull and create), each yielded as it arrives.

        `timeout_s` bounds the silence between two lines, not the whole.
        """
        import httpx

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        payload: dict[str, Any] = {"content": content} if content is not None else {"json": body}
        try:
            with self._client.stream(method, path, headers=headers, timeout=timeout_s, **payload) as response:
                if not response.is_success:
                    text = response.read().decode(errors="replace")
                    raise self.refused(method, path, _answer(response.status_code, self._redacted(text)))
                for line in response.iter_lines():
                    if line.strip():
                        yield json.loads(line)
        except httpx.TimeoutException as error:
            raise self._unreachable(method, path, f"silent for {timeout_s:.0f} s ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(method, path, str(error) or type(error).__name__) from error
        except ValueError as error:
            raise self.bad_answer(path, f"a line is no JSON ({error})") from error

    def refused(self, method: str, path: str, answer: Answer) -> OrchestratorError:
        return OrchestratorError(
            "refused",
            f"{self.service} answered {answer.status} to {method} {path}: {self._redacted(answer.message)}",
            remedy=f"see what it logged: orchestrator logs {self.service}",
            evidence=f"{method} {self.base_url}{path} -> {answer.status} {answer.text[:EVIDENCE_CHARACTERS]}",
        )

    def bad_answer(self, path: str, reason: str, answer: object = "") -> OrchestratorError:
        return OrchestratorError(
            "bad_answer",
            f"{self.service} answered {path} with something else than promised: {reason}",
            remedy=f"check that the service of the plan runs at {self.base_url}: orchestrator status",
            evidence=self._redacted(str(answer))[:EVIDENCE_CHARACTERS],
        )

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unreachable(self, method: str, path: str, reason: str) -> OrchestratorError:
        return OrchestratorError(
            "unreachable",
            f"{self.service} at {self.base_url} does not answer: {self._redacted(reason)}",
            remedy=f"see whether it runs (orchestrator status) and what it logged (orchestrator logs {self.service})",
            evidence=f"{method} {self.base_url}{path}: {self._redacted(reason)}",
        )

    def _redacted(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text
