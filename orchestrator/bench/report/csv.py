"""Every request as a line of CSV: for a spreadsheet, or for whoever does not believe our statistics."""

from __future__ import annotations

import csv
import io

from orchestrator.bench.records import OUTCOMES, Run

HEADER = (
    "intended_s",
    "sent_s",
    "done_s",
    "latency_ms",
    "outcome",
    "status",
    "documents",
    "tokens_sent",
    "tokens_counted",
    "received_bytes",
    "worker",
)


def requests_csv(run: Run) -> str:
    """Times in seconds from the end of the warm-up; the warm-up's requests are below zero."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    r = run.requests
    for i in range(len(r.done_s)):
        writer.writerow(
            (
                f"{r.intended_s[i]:.6f}",
                f"{r.sent_s[i]:.6f}",
                f"{r.done_s[i]:.6f}",
                f"{(r.done_s[i] - r.intended_s[i]) * 1000:.3f}",
                OUTCOMES[r.outcome[i]],
                *(int(column[i]) for column in (r.status, r.documents, r.tokens_sent, r.tokens_counted)),
                *(int(column[i]) for column in (r.received_bytes, r.worker)),
            )
        )
    return out.getvalue()
