"""`--measure-peak`: what a plain matrix product reaches on the device, with the backend's own libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

from orchestrator.bench.records import MeasuredPeak
from orchestrator.plan.records import Plan

SECONDS = 2.0
SIZE_ON_CARD = 8192
"""2 x 8192^3 = 1.1 TFLOP a product: long enough to fill every card of the catalogue (derived)."""
SIZE_ON_CPU = 2048
"""17 GFLOP a product: a fraction of a second on two slow cores, and far beyond every cache (derived)."""
DEADLINE_S = 120.0
"""Importing torch takes 10 to 40 s on two busy cores (measured)."""
TORCH_TYPES = ("bfloat16", "float16", "float32")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def measure_peak(plan: Plan, torch_python: Path | None, container: str | None = None) -> MeasuredPeak | str:
    """The peak, or in words why it was not measured.

    `torch_python` is the Python of the backend's own environment, `container` the one that serves; neither: llama.cpp
    and Ollama bring no library that could be asked, and numpy stands in on a CPU.
    """
    on_card = plan.device.kind == "gpu"
    if torch_python is None and container is None and on_card:
        return f"{plan.backend} brings no library of matrix products that could be asked"
    library = "numpy" if torch_python is None and container is None else "torch"
    arguments = matmul_arguments(plan, library)
    interpreter = ["docker", "exec", "-i", container, "python3"] if container else [str(torch_python or sys.executable)]
    told = _run([*interpreter, "-", *arguments], plan.threads)
    if isinstance(told, str):
        return told
    where = plan.device.name if on_card else f"{plan.threads} thread{'s' if plan.threads > 1 else ''}"
    _, _, dtype, size, _, _ = arguments
    return MeasuredPeak(
        tflops=told["tflops"], dtype=dtype, basis=f"{told['library']}, {dtype}, {size} x {size}, {where}"
    )


def matmul_arguments(plan: Plan, library: str) -> tuple[str, str, str, str, str, str]:
    """Of bench/matmul.py. The server sees its card as number 0: it was given one."""
    dtype = plan.weights.dtype if plan.weights.dtype in TORCH_TYPES else "float32"
    if plan.device.kind == "gpu":
        return (library, "cuda:0", dtype, str(SIZE_ON_CARD), "0", str(SECONDS))
    return (library, "cpu", dtype, str(SIZE_ON_CPU), str(plan.threads), str(SECONDS))


def _run(argv: list[str], threads: int) -> dict[str, float] | str:
    program = (resources.files("orchestrator.bench") / "matmul.py").read_text(encoding="utf-8")
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    try:
        done = subprocess.run(
            argv, input=program, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        if done.returncode == 0:
            told = json.loads(done.stdout)
            assert isinstance(told, dict)  # noqa: S101 - our own program wrote it
            return told
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        return f"the matrix product did not run: {type(error).__name__}: {error}"
    last = done.stderr.strip().splitlines()
    return f"the matrix product failed: {last[-1] if last else f'exit {done.returncode}'}"
