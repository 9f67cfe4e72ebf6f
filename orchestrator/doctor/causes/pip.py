"""What pip says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"THESE PACKAGES DO NOT MATCH THE HASHES|Hashes are required in --require-hashes mode",
        "wrong_hash",
        "the package index serves another file than the pinned one",
        "a mirror is stale or altered: use another index",
        "pip config list",
    ),
    rule(
        r"No matching distribution found for torch==\S+\+cpu",
        "torch_cpu_missing",
        "the CPU build of torch is not on PyPI, and pip was shown no other place that has it",
        "name a folder or page that has the wheel",
        "export PIP_FIND_LINKS=/path/to/wheels",
    ),
    rule(
        r"No matching distribution found|Could not find a version that satisfies",
        "package_missing",
        "the package index does not have a pinned package, or cannot be reached",
        "check the network and the index that pip is set to",
        "pip config list",
    ),
    rule(
        r"is not a supported wheel on this platform|Requires-Python|requires a different Python",
        "wrong_python",
        "the Python or processor is another than the lock was made for",
        "install CPython of the version that the message names, or use --engine compose",
    ),
    rule(
        r"command '(?:gcc|g\+\+|cc)' failed|error: command .*cmake|No CMAKE_CXX_COMPILER could be found",
        "no_compiler",
        "something must be compiled and there is no compiler",
        "install one",
        "sudo apt-get install build-essential cmake",
    ),
)
