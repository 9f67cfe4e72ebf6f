"""A document through the whole stack and back: asked last, when nothing else explains what it would find.

One trip answers three questions. `e2e.roundtrip` makes it and leaves the two other answers in the view, where each is
taken once: asked alone, or again, a question makes a trip of its own.
"""

from __future__ import annotations

from orchestrator.doctor.checks.asked import asked, chroma_of, embeddings_of, webui_of
from orchestrator.doctor.context import Context
from orchestrator.errors import OrchestratorError
from orchestrator.progress import Silent
from orchestrator.result import Finding
from orchestrator.verify.prefixes import PREFIX
from orchestrator.verify.question import Question
from orchestrator.verify.round_trip import CLEAN, ROUND_TRIP, probe_round_trip

TRIP_S = 180.0
"""Three pages are embedded twice. Measured: 2.4 s with MiniLM on two cores; a large model on a CPU takes minutes."""


def of_the_trip(question: Question, context: Context) -> Finding:
    if context.existing.desired is None:
        return question.skipped("the plan has no Open WebUI")
    told = context.existing.told
    if question is ROUND_TRIP or question.id not in told:
        told.clear()
        try:
            told.update({finding.id: finding for finding in _travel(context)})
        except OrchestratorError as error:
            if error.code != "locked":
                raise
            return question.skipped(f"{error.message}; it writes a document, and so waits for its turn")
    return told.pop(question.id, question.skipped("the trip ended before it could be asked"))


def _travel(context: Context) -> tuple[Finding, ...]:
    """Under the stack's lock: a second trip would take this one's document for a leftover and remove it."""
    with (
        context.existing.alone(),
        embeddings_of(context) as embeddings,
        webui_of(context) as webui,
        chroma_of(context) as chroma,
    ):
        return probe_round_trip(context.planned, webui, chroma, embeddings, Silent())


E2E_ROUND_TRIP = asked(
    ROUND_TRIP,
    lambda context: of_the_trip(ROUND_TRIP, context),
    reads=("a document of three pages: uploaded, embedded, found by a question, its vectors in ChromaDB",),
    needs=(
        "webui.effective",
        "webui.path",
        "chroma.health",
        "chroma.dim",
        "chroma.persist",
        "embed.batch",
        "embed.long",
        "embed.meaning",
        "image.pair",
    ),
    timeout_s=TRIP_S,
)
E2E_PREFIX = asked(
    PREFIX,
    lambda context: of_the_trip(PREFIX, context),
    reads=("the stored vectors and the scores of that document, against those that the planned prefixes give",),
    needs=("e2e.roundtrip",),
    timeout_s=TRIP_S,
)
E2E_CLEAN = asked(
    CLEAN,
    lambda context: of_the_trip(CLEAN, context),
    reads=("what Open WebUI and ChromaDB list after the document was removed",),
    needs=("e2e.roundtrip",),
    timeout_s=TRIP_S,
)
CHECKS = (E2E_ROUND_TRIP, E2E_PREFIX, E2E_CLEAN)
