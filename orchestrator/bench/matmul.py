"""A plain matrix product, run by the *backend's own* Python (read as text and piped into it, never imported).

    python - torch cuda:0 bfloat16 8192 0 2.0   →   {"tflops": ..., "library": "torch 2.11.0"}

Arguments: library, device, type, size of the square matrices, threads (0 = as set), seconds to measure.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module


def with_torch(device: str, dtype: str, size: int, threads: int) -> tuple[Callable[[], object], Callable[[], object]]:
    torch = import_module("torch")
    if threads:
        torch.set_num_threads(threads)
    kind = getattr(torch, dtype)
    left, right, out = (torch.randn(size, size, device=device, dtype=kind) for _ in range(3))
    settle: Callable[[], object] = torch.cuda.synchronize if device.startswith("cuda") else int
    return lambda: torch.matmul(left, right, out=out), settle


def with_numpy(_device: str, dtype: str, size: int, _threads: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Its threads are set in the environment, before it is imported."""
    numpy = import_module("numpy")
    draw = numpy.random.default_rng(1)
    left, right, out = (draw.standard_normal((size, size)).astype(dtype) for _ in range(3))
    return lambda: numpy.matmul(left, right, out=out), int


def main(library: str, device: str, dtype: str, *numbers: str) -> None:
    size, threads, seconds = int(numbers[0]), int(numbers[1]), float(numbers[2])
    prepare = with_torch if library == "torch" else with_numpy
    multiply, settle = prepare(device, dtype, size, threads)
    at_once = 20 if device.startswith("cuda") else 1
    for _ in range(3):  # clocks, caches, the library's choice of kernel
        multiply()
    settle()
    rounds, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for _ in range(at_once):
            multiply()
        settle()
        rounds += at_once
    spent = time.perf_counter() - begin
    told = {
        "tflops": 2 * size**3 * rounds / spent / 1e12,
        "library": f"{library} {import_module(library).__version__}",
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
