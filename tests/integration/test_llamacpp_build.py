"""The build steps with the real CMake and compiler, on a small stand-in for llama.cpp's source.

The whole of llama.cpp takes minutes: ORCHESTRATOR_TEST_LLAMACPP_BUILD=1 builds it as well, from the pinned archive.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.engines import llamacpp_build
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Silent

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

PROJECT = """
cmake_minimum_required(VERSION 3.18)
project(small CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_library(llama SHARED library.cpp)
add_executable(llama-server server.cpp)
target_link_libraries(llama-server llama)
"""
LIBRARY = "int answer() { return 42; }\n"
SERVER = '#include <cstdio>\nint answer();\nint main() { std::printf("%d\\n", answer()); }\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("cmake") is None:
        pytest.skip("no cmake here")
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    return llamacpp_build.build_folder()


def write_source(folder: Path, server: str = SERVER) -> None:
    source = folder / "work" / "source"
    (source / "conversion").mkdir(parents=True, exist_ok=True)
    (source / "CMakeLists.txt").write_text(PROJECT)
    (source / "library.cpp").write_text(LIBRARY)
    (source / "server.cpp").write_text(server)
    (source / "convert_hf_to_gguf.py").write_text("")


def test_the_program_runs_from_its_folder_wherever_that_is_called_from(folder: Path) -> None:
    write_source(folder)
    assert llamacpp_build.build(Silent()) == folder
    moved = folder.parent / "moved"
    folder.rename(moved)
    said = subprocess.run([moved / "bin" / "llama-server"], capture_output=True, text=True, check=True, cwd="/").stdout
    assert said == "42\n"
    assert not (moved / "work").exists()
    assert {path.name for path in (moved / "share").iterdir()} == {"convert_hf_to_gguf.py", "conversion"}


def test_a_compiler_error_is_shown_and_the_next_build_goes_on(folder: Path) -> None:
    write_source(folder, "int no_such_name();\nint main() { return no_such_name(); }\n")
    with pytest.raises(OrchestratorError) as failed:
        llamacpp_build.build(Silent())
    assert failed.value.code == "build_failed"
    assert "no_such_name" in failed.value.evidence
    assert not llamacpp_build._is_built(folder)
    kept = next((folder / "work").glob("objects-*/bin/libllama.so"))
    compiled_at = kept.stat().st_mtime_ns
    write_source(folder)
    os.utime(folder / "work" / "source" / "library.cpp", ns=(1, 1))
    llamacpp_build.build(Silent())
    assert (folder / "bin" / "libllama.so").stat().st_mtime_ns == compiled_at


def test_a_program_built_for_another_processor_is_built_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_source(folder)
    llamacpp_build.build(Silent())
    assert llamacpp_build._is_built(folder)
    monkeypatch.setattr(llamacpp_build, "processor", lambda: "another")
    assert not llamacpp_build._is_built(folder)


def test_missing_tools_are_named_with_their_packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OrchestratorError) as missing:
        llamacpp_build.build(Silent())
    assert missing.value.code == "build_tools_missing"
    assert "apt install cmake g++ ninja-build" in missing.value.remedy


@pytest.mark.timeout(3600)
@pytest.mark.skipif("ORCHESTRATOR_TEST_LLAMACPP_BUILD" not in os.environ, reason="minutes of compiling")
def test_the_whole_of_llama_cpp(folder: Path) -> None:
    llamacpp_build.build(Silent())
    said = subprocess.run([folder / "bin" / "llama-server", "--version"], capture_output=True, text=True, check=True)
    assert "version" in said.stdout + said.stderr
