"""Broken machines: what changes colour in the whole catalogue when one thing breaks, and that nothing else does.

    assert changed(healthy, broken) == {"docker.daemon": "fail", "compose.version": "skip"}

Where the machine itself is broken and not the context (a port taken, a mode changed), look before and after:

    before = verdicts(context)
    path.chmod(0o644)
    assert changed(before, context) == {"sec.env": "warn"}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.doctor.catalogue import CHECKS
from orchestrator.doctor.check import Check
from orchestrator.doctor.context import Context
from orchestrator.doctor.runner import run_checks
from orchestrator.result import Finding, Verdict

LIMIT_S = 5.0
"""No check may take longer in a test than this; enough for a healthy answer on a machine at full load."""

_asked: dict[tuple[int, tuple[str, ...]], tuple[Context, dict[str, Verdict]]] = {}
"""Healthy runs by the context's identity: cases of a module that share one healthy context ask it once. The context
is kept with its run, else another one could take over its identity."""


def findings(context: Context, checks: Iterable[Check] = CHECKS, *, limit_s: float = LIMIT_S) -> dict[str, Finding]:
    """Every finding by id. For a test that also reads evidence, reason or remedy."""
    hurried = [msgspec.structs.replace(check, timeout_s=min(check.timeout_s, limit_s)) for check in checks]
    return {finding.id: finding for finding in run_checks(hurried, context)}


def verdicts(context: Context, checks: Iterable[Check] = CHECKS, *, limit_s: float = LIMIT_S) -> dict[str, Verdict]:
    return {name: finding.verdict for name, finding in findings(context, checks, limit_s=limit_s).items()}


def changed(
    healthy: Context | Mapping[str, Verdict],
    broken: Context,
    checks: Iterable[Check] = CHECKS,
    *,
    limit_s: float = LIMIT_S,
) -> dict[str, Verdict]:
    """The new verdict of every check whose verdict is another one than on the healthy machine.

    `healthy` is a context (asked once, as long as it is the same object), or `verdicts` taken before the break.
    """
    asked = tuple(checks)
    before = healthy if isinstance(healthy, Mapping) else _once(healthy, asked, limit_s)
    broke = {name for name, verdict in before.items() if verdict == "error"}
    assert not broke, f"the healthy machine is no measure: {broke} broke themselves"
    after = findings(broken, asked, limit_s=limit_s)
    other = {name: finding for name, finding in after.items() if finding.verdict != before[name]}
    for name, finding in other.items():  # pytest shows it where the assertion fails
        print(f"{name}: {before[name]} → {finding.verdict}: {finding.evidence} | {finding.reason}")
    return {name: finding.verdict for name, finding in other.items()}


def _once(healthy: Context, checks: tuple[Check, ...], limit_s: float) -> dict[str, Verdict]:
    key = (id(healthy), tuple(check.id for check in checks))
    if key not in _asked:
        _asked[key] = (healthy, verdicts(healthy, checks, limit_s=limit_s))
    return _asked[key][1]
