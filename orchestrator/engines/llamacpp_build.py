"""`llama-server`, built from the llama.cpp source that llama-cpp-python carries, once for all stacks of this user.

Three steps, each of which an interrupted build goes on from: the source archive (pinned by hash, fetched with pip), its
unpacked source, and CMake's build folder, which keeps every object that was compiled.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from orchestrator.catalog.pins import PackagePin, load_pins
from orchestrator.engines.environments import MARKER, is_installed, make_environment, need_free, one_at_a_time
from orchestrator.engines.pip import INSTALL_VARIABLE, Job, bytes_under, pip_environment, run_side_by_side
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Progress
from orchestrator.state import environments_folder, write_whole

PACKAGE = "llama-cpp-python"
TARGET = "llama-server"
CONVERTER = ("convert_hf_to_gguf.py", "conversion", "gguf-py")
"""Kept from the source under `share/`: makes a GGUF file of a Hugging Face folder (facts/embedding-servers.md 2.2)."""
FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DGGML_NATIVE=ON",  # for the CPU that builds: `processor` below guards against another one
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # on by default, and fetches a web page from the network while it builds
    "-DLLAMA_CURL=OFF",
    "-DLLAMA_BUILD_NUMBER=0",
    "-DCMAKE_INSTALL_RPATH=$ORIGIN",  # the libraries lie beside the program: it runs from wherever both are
    "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
)
STEP = re.compile(r"^\[\s*(\d+)/(\d+)\]", re.MULTILINE)
PERCENT = re.compile(r"^\[\s*(\d+)%\]", re.MULTILINE)
NEED_BYTES = 1_500_000_000
"""estimate: 77 MB archive (measured), source and objects; 21 MB stay (measured)."""
EVIDENCE_LINES = 15


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """What the marker says."""

    key: str
    processor: str
    built_at: str


def build_folder() -> Path:
    """Follows from the pin and the flags alone. The program is `bin/llama-server`."""
    return environments_folder() / _key(load_pins().packages[PACKAGE])


def build(progress: Progress) -> Path:
    """The folder of the program. Built already, for this processor: returns at once."""
    folder = build_folder()
    if _is_built(folder):
        return folder
    with one_at_a_time(folder, progress):
        if not _is_built(folder):
            _build(folder, load_pins().packages[PACKAGE], progress)
    return folder


def processor() -> str:
    """The instruction sets of this machine: a program that was built for more ends with an illegal instruction."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    flags = next((line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))), "")
    return hashlib.sha256(" ".join(sorted(flags.split())).encode()).hexdigest()[:12]


def _key(pin: PackagePin) -> str:
    words = " ".join((pin.sdist_sha256 or "", TARGET, *FLAGS))
    return f"llamacpp-{pin.version}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def _is_built(folder: Path) -> bool:
    try:
        built = msgspec.json.decode((folder / MARKER).read_bytes(), type=Built)
    except (OSError, msgspec.DecodeError):
        return False
    return is_installed(folder) and built.processor == processor()


def _build(folder: Path, pin: PackagePin, progress: Progress) -> None:
    cmake, generator = _tools()
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    need_free(NEED_BYTES, "building llama.cpp", work)
    progress.step(f"build llama-server from {PACKAGE} {pin.version} (about 12 minutes on 2 cores)")
    source = _source(work, pin, progress)
    objects = work / f"objects-{processor()}-{generator.split()[0]}"
    commit = f"-DLLAMA_BUILD_COMMIT={pin.llama_cpp_commit}"
    _run((cmake, "-S", str(source), "-B", str(objects), "-G", generator, *FLAGS, commit), folder, progress)
    jobs = str(len(os.sched_getaffinity(0)))
    _run((cmake, "--build", str(objects), "--target", TARGET, "--parallel", jobs), folder, progress)
    _keep(objects / "bin", source, folder)
    done = Built(key=_key(pin), processor=processor(), built_at=datetime.now(UTC).isoformat(timespec="seconds"))
    write_whole(folder / MARKER, msgspec.json.format(msgspec.json.encode(done)))
    shutil.rmtree(work, ignore_errors=True)


def _tools() -> tuple[str, str]:
    cmake = shutil.which("cmake")
    compiler = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
    ninja, make = shutil.which("ninja"), shutil.which("make")
    missing = [
        package
        for package, found in (("cmake", cmake), ("g++", compiler), ("ninja-build", ninja or make))
        if found is None
    ]
    if cmake is None or missing:
        raise OrchestratorError(
            "build_tools_missing",
            f"no llama-server on the PATH, and to build one this machine lacks {', '.join(missing)}",
            remedy=f"Debian and Ubuntu: apt install {' '.join(missing)}; or put a llama-server on the PATH;"
            " or choose another backend: --backend vllm",
        )
    return cmake, "Ninja" if ninja else "Unix Makefiles"


def _source(work: Path, pin: PackagePin, progress: Progress) -> Path:
    """llama.cpp's own folder, unpacked."""
    if pin.source_dir is None or pin.sdist_sha256 is None:
        raise OrchestratorError("pin_incomplete", f"{PACKAGE} has no source_dir or sdist_sha256 in pins.toml")
    source = work / "source"
    if not source.is_dir():
        archive = _archive(work, pin, progress)
        progress.note(f"unpacking {archive.name}")
        unpacked = Path(mkdtemp(dir=work, prefix="unpacking-"))
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        (unpacked / pin.source_dir).rename(source)
        for abandoned in work.glob("unpacking-*"):
            shutil.rmtree(abandoned)
    return source


def _archive(work: Path, pin: PackagePin, progress: Progress) -> Path:
    name = f"llama_cpp_python-{pin.version}.tar.gz"
    archive = work / name
    if not archive.exists():
        python = make_environment(Path(sys.executable), work / "pip")
        own = Path(mkdtemp(dir=work, prefix="download-"))
        wanted = own / "requirements.txt"
        wanted.write_text(f"{PACKAGE}=={pin.version} --hash=sha256:{pin.sdist_sha256}\n", encoding="utf-8")
        command = (
            *(str(python), "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-binary", ":all:"),
            *("--no-build-isolation", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"),
            *("--requirement", str(wanted), "--dest", str(own)),
        )
        run_side_by_side(
            [Job(command=command)],
            {
                **pip_environment(work),
                INSTALL_VARIABLE: str(work.parent),
                "PYTHONPATH": str(_stand_in_backend(work, pin.version)),
            },
            work,
            workers=1,
            look=lambda: progress.advance("llama.cpp: downloaded", bytes_under(work, _is_archive), None, "bytes"),
        )
        (own / name).replace(archive)
        for abandoned in (*work.glob("download-*"), work / "tmp", work / "backend", work / "pip"):
            shutil.rmtree(abandoned)
    return archive


def _stand_in_backend(work: Path, version: str) -> Path:
    """pip prepares the metadata of every source archive it downloads (pypa/pip#1884): for that it would fetch the

    build backend, unpinned, and run it (94 s measured). This backend answers with a name and nothing else. To be
    deleted when `pip download` can leave source archives alone.
    """
    package = work / "backend" / "scikit_build_core"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "build.py").write_text(BACKEND.replace("VERSION", version), encoding="utf-8")
    return package.parent


BACKEND = """\
import pathlib

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    made = pathlib.Path(folder, "llama_cpp_python-VERSION.dist-info")
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: llama_cpp_python\\nVersion: VERSION\\n")
    return made.name
"""


def _run(command: tuple[str, ...], folder: Path, progress: Progress) -> None:
    log = folder / "work" / "build.log"
    environment = {**os.environ, INSTALL_VARIABLE: str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(1.0)
                except subprocess.TimeoutExpired:
                    _tell(log, progress)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    _tell(log, progress)
    if process.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        wrong = [line for line in lines if "error" in line.lower()]
        raise OrchestratorError(
            "build_failed",
            f"{' '.join(command[:3])} ended with code {process.returncode}",
            remedy="what was compiled is kept: run it again; `Killed` means out of memory: fewer cores (taskset) help",
            evidence="\n".join(wrong[:3] + lines[-EVIDENCE_LINES:]),
        )


def _tell(log: Path, progress: Progress) -> None:
    text = log.read_text(encoding="utf-8", errors="replace")
    if steps := STEP.findall(text):
        progress.advance("llama.cpp: compiled", int(steps[-1][0]), int(steps[-1][1]))
    elif percents := PERCENT.findall(text):
        progress.advance("llama.cpp: compiled", int(percents[-1]), 100)


def _keep(built: Path, source: Path, folder: Path) -> None:
    """The program and its libraries beside each other, and the converter."""
    for name, origin in (("bin", built), ("share", source)):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
        chosen = [path for path in origin.iterdir() if _belongs(name, path)]
        for path in chosen:
            if path.is_dir():
                shutil.copytree(path, folder / name / path.name)
            else:
                shutil.copy2(path, folder / name / path.name, follow_symlinks=False)


def _belongs(kind: str, path: Path) -> bool:
    return path.name in CONVERTER if kind == "share" else path.name == TARGET or ".so" in path.name


def _is_archive(name: str) -> bool:
    return name.endswith(".tar.gz")
