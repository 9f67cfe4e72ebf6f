"""Ollama's own API: pull, derive a model that cannot cut a document, load it, see where it lies.

Field names: api/types.go and server/routes.go of ollama/ollama at fb30760 (v0.33.0-rc2).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from orchestrator.clients.http import Http
from orchestrator.errors import OrchestratorError
from orchestrator.plan.records import Plan
from orchestrator.progress import Progress

if TYPE_CHECKING:
    import httpx

OLDEST = (0, 13, 3)
"""Before it, an input longer than num_batch crashed the runner (ollama#12938; facts/models-and-gpus.md 2)."""
ANSWER_TIMEOUT_S = 30.0
LOAD_TIMEOUT_S = 600.0
"""Loading is the answer to the first request; OLLAMA_LOAD_TIMEOUT is 5 min of standstill (envconfig)."""
SILENCE_TIMEOUT_S = 300.0
"""Between two lines of a pull or create: verifying the digest of a large layer says nothing meanwhile."""
UPLOAD_BLOCK_BYTES = 1024 * 1024
FOREVER = -1


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    digest: str
    size: int


class LoadedModel(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    size: int
    size_vram: int
    context_length: int = 0

    @property
    def bytes_on_cpu(self) -> int:
        return self.size - self.size_vram


class ShownModel(msgspec.Struct, frozen=True, kw_only=True):
    parameters: dict[str, str]
    blob: str | None
    """sha256 of the weights, as the generated Modelfile's FROM names its blob."""
    capabilities: tuple[str, ...] = ()


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    vectors: tuple[tuple[float, ...], ...]
    tokens: int | None


class OllamaClient:
    def __init__(
        self, base_url: str, timeout_s: float = ANSWER_TIMEOUT_S, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = Http("ollama", base_url, timeout_s=timeout_s, transport=transport)
        self.base_url = self._http.base_url

    def version(self) -> str:
        return str(self._http.ask("GET", "/api/version")["version"])

    def tags(self) -> tuple[LocalModel, ...]:
        return self._models("/api/tags", LocalModel)

    def ps(self) -> tuple[LoadedModel, ...]:
        return self._models("/api/ps", LoadedModel)

    def show(self, model: str) -> ShownModel | None:
        """None where the server does not have it."""
        answer = self._http.call("POST", "/api/show", body={"model": model})
        if answer.status == 404:
            return None
        if not answer.ok or not isinstance(answer.body, dict):
            raise self._http.refused("POST", "/api/show", answer)
        return shown(answer.body)

    def pull(self, tag: str, progress: Progress) -> None:
        """Ollama resumes a broken pull by itself. Layers come one after the other, so the total grows."""
        layers: dict[str, tuple[int, int]] = {}
        for line in self._story("/api/pull", {"model": tag}, f"pull {tag}"):
            if line.get("digest") and line.get("total"):
                layers[line["digest"]] = (int(line.get("completed", 0)), int(line["total"]))
                done, total = (sum(values) for values in zip(*layers.values(), strict=True))
                progress.advance(f"pull {tag}", done, total, "bytes")
            else:
                progress.note(f"ollama: {line.get('status', '')}")

    def create(self, model: str, base: str, parameters: dict[str, int], progress: Progress) -> None:
        """`model` = `base` with other defaults. Layers are shared, so it costs no disk."""
        body = {"model": model, "from": base, "parameters": parameters}
        for line in self._story("/api/create", body, f"create {model}"):
            progress.note(f"ollama: {line.get('status', '')}")

    def create_from_gguf(self, model: str, file: Path, progress: Progress) -> None:
        digest = f"sha256:{_sha256_of(file)}"
        if self._http.call("HEAD", f"/api/blobs/{digest}").status == 404:
            self._upload(digest, file, progress)
        for line in self._story("/api/create", {"model": model, "files": {file.name: digest}}, f"create {model}"):
            progress.note(f"ollama: {line.get('status', '')}")

    def embed(self, model: str, texts: Sequence[str], dimensions: int | None = None) -> Embedded:
        """`truncate: false`: a text beyond the context is refused (400), never cut. No `options`: they reload it."""
        body: dict[str, Any] = {"model": model, "input": list(texts), "truncate": False, "keep_alive": FOREVER}
        if dimensions is not None:
            body["dimensions"] = dimensions
        answer = self._http.ask("POST", "/api/embed", body=body, timeout_s=LOAD_TIMEOUT_S)
        vectors = answer.get("embeddings") if isinstance(answer, dict) else None
        if not isinstance(vectors, list) or len(vectors) != len(texts):
            raise self._http.bad_answer("/api/embed", f"{len(texts)} texts did not give as many vectors", answer)
        return Embedded(vectors=tuple(tuple(vector) for vector in vectors), tokens=answer.get("prompt_eval_count"))

    def load(self, model: str) -> None:
        """An empty input loads and embeds nothing; -1 keeps it loaded until the server ends."""
        body = {"model": model, "input": [], "keep_alive": FOREVER}
        self._http.ask("POST", "/api/embed", body=body, timeout_s=LOAD_TIMEOUT_S)

    def unload(self, model: str) -> None:
        self._http.ask("POST", "/api/embed", body={"model": model, "input": [], "keep_alive": 0})

    def delete(self, model: str) -> None:
        """Gone afterwards, also where it was not there."""
        answer = self._http.call("DELETE", "/api/delete", body={"model": model})
        if not answer.ok and answer.status != 404:
            raise self._http.refused("DELETE", "/api/delete", answer)

    def loaded(self, model: str) -> LoadedModel | None:
        return next((entry for entry in self.ps() if full_name(entry.name) == full_name(model)), None)

    def ready(self, plan: Plan) -> str | None:
        """None: loaded, whole where the plan wants it. Loads it if it is not; what waiting cannot heal is raised."""
        loaded = self.loaded(plan.served_name)
        if loaded is None:
            self.load(plan.served_name)
            loaded = self.loaded(plan.served_name)
        if loaded is None:
            return f"ollama does not list {plan.served_name} as loaded"
        refuse_partly_loaded(loaded, plan)
        return None

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _models(self, path: str, record: type[Any]) -> tuple[Any, ...]:
        answer = self._http.ask("GET", path)
        try:
            return tuple(msgspec.convert(entry, record) for entry in answer["models"] or ())
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise self._http.bad_answer(path, str(error), answer) from error

    def _upload(self, digest: str, file: Path, progress: Progress) -> None:
        total = file.stat().st_size

        def blocks() -> Iterator[bytes]:
            sent = 0
            with file.open("rb") as opened:
                while block := opened.read(UPLOAD_BLOCK_BYTES):
                    yield block
                    sent += len(block)
                    progress.advance(f"give {file.name} to ollama", sent, total, "bytes")

        path = f"/api/blobs/{digest}"
        for _ in self._http.stream_lines("POST", path, content=blocks(), timeout_s=SILENCE_TIMEOUT_S):
            continue

    def _story(self, path: str, body: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
        """The lines of a long request. An error may come as the status, or as a line after a 200."""
        finished = False
        try:
            for line in self._http.stream_lines("POST", path, body=body, timeout_s=SILENCE_TIMEOUT_S):
                if line.get("error"):
                    raise told(what, str(line["error"]))
                finished = line.get("status") == "success"
                yield line
        except OrchestratorError as error:
            raise told(what, error.message) if error.code == "refused" else error from error
        if not finished:
            raise told(what, "the answer broke off before `success`")


def prepare_model(client: OllamaClient, plan: Plan, model_path: Path | None, progress: Progress) -> None:
    """The served name exists, from the planned weights, with a context and batch that take the longest document.

    Run again it changes nothing and asks no registry. `model_path` is the GGUF where Ollama is not the source.
    """
    refuse_old(client.version())
    base = _base_model(client, plan, model_path, progress)
    wanted = parameters_of(plan)
    source, derived = client.show(base), client.show(plan.served_name)
    if derived is not None and source is not None and _is_derived(derived, source, wanted):
        return
    progress.step(f"ollama: {plan.served_name} from {base}")
    client.create(plan.served_name, base, wanted, progress)
    made = client.show(plan.served_name)
    if made is None or source is None or not _is_derived(made, source, wanted):
        raise OrchestratorError(
            "ollama_not_as_asked",
            f"ollama made {plan.served_name}, but not with {wanted} from the weights of {base}",
            remedy="use the pinned version of Ollama",
            evidence=f"{made}",
        )


def parameters_of(plan: Plan) -> dict[str, int]:
    """num_batch below num_ctx is what cuts silently (ollama#14259), or kills the runner (ollama#16687)."""
    return {"num_ctx": plan.max_length, "num_batch": max(plan.batched_tokens, plan.max_length)}


def refuse_old(version: str) -> None:
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if any(numbers) and numbers < OLDEST:  # a build from source calls itself 0.0.0
        raise OrchestratorError(
            "ollama_too_old",
            f"Ollama {version} crashes on, or cuts, long documents",
            remedy=f"install Ollama {'.'.join(map(str, OLDEST))} or newer",
            evidence=f"version {version}",
        )


def refuse_partly_loaded(loaded: LoadedModel, plan: Plan) -> None:
    if plan.device.kind == "gpu" and loaded.bytes_on_cpu > 0:
        raise OrchestratorError(
            "partly_on_cpu",
            f"ollama put {loaded.bytes_on_cpu / 1e9:.2f} of {loaded.size / 1e9:.2f} GB of {loaded.name} on the CPU",
            remedy="free GPU memory and start again, or plan smaller: --max-length, another --model, --gpu none",
            evidence=f"/api/ps: size {loaded.size}, size_vram {loaded.size_vram}",
        )
    if 0 < loaded.context_length < plan.max_length:
        raise OrchestratorError(
            "context_reduced",
            f"ollama loaded {loaded.name} with a context of {loaded.context_length} tokens, not {plan.max_length}",
            remedy=f"plan with --max-length {loaded.context_length}, or free memory and start again",
            evidence=f"/api/ps: context_length {loaded.context_length}",
        )


def shown(body: dict[str, Any]) -> ShownModel:
    """`parameters` comes as text, one `name<spaces>value` a line; the blob only in the generated Modelfile."""
    lines = (line.split(None, 1) for line in str(body.get("parameters") or "").splitlines())
    blob = re.search(r"^FROM .*sha256[-:]([0-9a-f]{64})", str(body.get("modelfile") or ""), re.MULTILINE)
    return ShownModel(
        parameters={line[0]: line[1].strip() for line in lines if len(line) == 2},
        blob=blob[1] if blob else None,
        capabilities=tuple(body.get("capabilities") or ()),
    )


def full_name(model: str) -> str:
    """As `/api/ps` writes it: always with a tag, never with the default host and namespace."""
    short = model.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"


FAILURES = (
    (
        r"file does not exist|not found",
        "ollama_no_such_model",
        "check the tag in the Ollama library, or give a local GGUF: --model PATH",
    ),
    (r"no space left on device", "disk_full", "free space where Ollama keeps its models (OLLAMA_MODELS)"),
    (r"newer version of ollama", "ollama_too_old", "install a newer Ollama, or use the pinned image"),
    (r"digest mismatch", "download_corrupt", "run it again; if it happens twice, a proxy in between alters the bytes"),
    (
        r"dial tcp|no such host|i/o timeout|TLS|x509|connection refused|max retries|EOF",
        "ollama_registry_unreachable",
        "check the network and HTTPS_PROXY of the Ollama server, or give a local GGUF: --model PATH",
    ),
)
"""Texts of server/images.go, server/download.go and Go's net package → code, remedy; the first that is found."""


def told(what: str, text: str) -> OrchestratorError:
    for pattern, code, remedy in FAILURES:
        if re.search(pattern, text, re.IGNORECASE):
            return OrchestratorError(code, f"ollama could not {what}: {text}", remedy=remedy, evidence=text)
    return OrchestratorError(
        "ollama_failed", f"ollama could not {what}: {text}", remedy="orchestrator logs embeddings", evidence=text
    )


def _base_model(client: OllamaClient, plan: Plan, model_path: Path | None, progress: Progress) -> str:
    """The model in Ollama's store that holds the planned weights, pulled or given if it is not there."""
    source = plan.weights.source
    if source.kind == "ollama":
        base = source.reference
        if client.show(base) is None:
            progress.step(f"ollama pulls {base} ({plan.weights.bytes / 1e9:.2f} GB)")
            client.pull(base, progress)
        _refuse_other_weights(client.show(base), base, source.sha256)
        return base
    if model_path is None or not model_path.is_file():
        raise OrchestratorError(
            "invalid_weights",
            f"Ollama takes a GGUF file, not {model_path}",
            remedy="--model FILE.gguf, or --backend vllm",
        )
    base = name_of_file(model_path)
    if client.show(base) is None:
        progress.step(f"give {model_path.name} to ollama")
        client.create_from_gguf(base, model_path, progress)
    return base


def name_of_file(path: Path) -> str:
    """Changes with the file (place, size, time), so that an unchanged one need not be hashed at every `up`.

    Its digest would not do: Ollama rewrites what it is given, so the blob in its store may have another.
    """
    seen = path.stat()
    mark = hashlib.sha256(f"{path.absolute()}\0{seen.st_size}\0{seen.st_mtime_ns}".encode()).hexdigest()
    return f"gguf-{mark[:12]}:latest"


def _refuse_other_weights(model: ShownModel | None, tag: str, sha256: str | None) -> None:
    if model is not None and sha256 and model.blob and model.blob != sha256.removeprefix("sha256:"):
        raise OrchestratorError(
            "wrong_weights",
            f"ollama's {tag} holds other weights than the planned ones: a tag can be moved by its owner",
            remedy=f"ollama rm {tag}, then run it again; if the library itself moved it, choose another tag",
            evidence=f"blob sha256:{model.blob}, planned {sha256}",
        )


def _is_derived(model: ShownModel, base: ShownModel, wanted: dict[str, int]) -> bool:
    same = all(_number(model.parameters.get(name)) == value for name, value in wanted.items())
    return same and model.blob == base.blob


def _number(text: str | None) -> float | None:
    """Go prints a JSON number with %#v: `8192`, or `1e+06`."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
