"""pip's own words, as recorded, and what we make of them."""

from __future__ import annotations

import pytest

from orchestrator.engines.pip import refusal

HASH = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, \
please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with them.
    alpha==1.0 from http://127.0.0.1:1/files/alpha-1.0-py3-none-any.whl:
        Expected sha256 aaaa
             Got        bbbb"""
UNREACHABLE = """\
WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by \
'NewConnectionError('<pip._vendor.urllib3.connection.HTTPConnection object at 0x1>: Failed to establish a new \
connection: [Errno 111] Connection refused')': /simple/alpha/
ERROR: Could not find a version that satisfies the requirement alpha==1.0 (from versions: none)
ERROR: No matching distribution found for alpha==1.0"""
UNKNOWN = """\
ERROR: Could not find a version that satisfies the requirement torch==2.13.0+cpu (from versions: 2.12.0, 2.13.0)
ERROR: No matching distribution found for torch==2.13.0+cpu"""
FULL = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (HASH, "hash_mismatch"),
        (UNREACHABLE, "network"),
        (UNKNOWN, "package_not_found"),
        (FULL, "disk_full"),
        ("ERROR: something new", "install_failed"),
    ],
)
def test_the_cause_is_named_and_pip_s_last_lines_are_the_evidence(output: str, code: str) -> None:
    error = refusal(output)
    assert error.code == code
    assert error.remedy
    assert error.evidence.splitlines()[-1] == output.splitlines()[-1]


def test_a_find_links_warning_is_no_evidence() -> None:
    noise = "WARNING: Location 'file:///x/simple/alpha/' is ignored: it is neither a file nor a directory."
    assert "ignored" not in refusal(f"{FULL}\n{noise}").evidence
