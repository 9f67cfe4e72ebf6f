"""What a probe asks, and how its answers become findings. `doctor` asks the same questions."""

from __future__ import annotations

import msgspec

from orchestrator.errors import OrchestratorError
from orchestrator.result import Finding, Remedy, Verdict


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is stable; its answers are explained in docs/checks.md under the same name."""

    id: str
    text: str

    def passed(self, evidence: str, reason: str = "") -> Finding:
        return self._answer("pass", evidence, reason)

    def failed(self, evidence: str, reason: str, remedy: str = "", *commands: str) -> Finding:
        return self._answer("fail", evidence, reason, Remedy(text=remedy, commands=commands))

    def warned(self, evidence: str, reason: str, remedy: str = "", *commands: str) -> Finding:
        return self._answer("warn", evidence, reason, Remedy(text=remedy, commands=commands))

    def skipped(self, reason: str, evidence: str = "") -> Finding:
        return self._answer("skip", evidence, reason)

    def not_answered(self, error: OrchestratorError) -> Finding:
        """The probe could not look: an unreachable service says nothing about vectors. A refusal does."""
        verdict: Verdict = "error" if error.code == "unreachable" else "fail"
        return self._answer(verdict, error.evidence, error.message, Remedy(text=error.remedy))

    def _answer(self, verdict: Verdict, evidence: str, reason: str, remedy: Remedy | None = None) -> Finding:
        return Finding(
            id=self.id,
            verdict=verdict,
            question=self.text,
            evidence=evidence,
            reason=reason,
            remedy=remedy or Remedy(),
            docs=f"docs/checks.md#{self.id}",
        )
