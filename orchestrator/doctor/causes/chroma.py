"""What Chroma says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"^Address \S+:\d+ is not available",
        "port_taken",
        "another program listens on Chroma's port (Chroma then ends with exit code 0)",
        "stop it, or take another port; the next `up` names the holder and a free one",
        "orchestrator up",
    ),
    rule(
        r"Collection \[[^\]]+\] does not exist",
        "collection_gone",
        "a collection was removed from Chroma while Open WebUI still knows of it",
        "index the knowledge anew in Open WebUI, Admin Settings, Documents",
    ),
    rule(
        r"Reset is disabled by config",
        "reset_off",
        "somebody asked Chroma to forget everything, which it does not allow",
        "nothing was lost; to remove the data with the stack:",
        "orchestrator down --volumes",
    ),
    rule(
        r"libstdc\+\+\.so\.6: cannot open shared object|libgomp\.so\.1: cannot open shared object",
        "missing_library",
        "a C++ library that numpy and Chroma need is missing",
        "install it",
        "sudo apt-get install libstdc++6 libgomp1",
    ),
    rule(
        r"KeyError: '_type'|The v1 API is deprecated|Could not import module 'chromadb|unsupported version of sqlite3",
        "chroma_pair",
        "Chroma and its client are not of one version, or the Python's SQLite is too old",
        "use the pinned pair",
        "orchestrator up --replan",
    ),
    rule(
        r"database disk image is malformed|file is not a database",
        "database_damaged",
        "a database file is damaged",
        "stop the stack, keep a copy of its data folder, and restore the last good one",
        "orchestrator down",
    ),
)
