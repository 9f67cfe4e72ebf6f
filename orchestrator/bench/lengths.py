"""`--tokens`: how long the documents are, special tokens included. Pure."""

from __future__ import annotations

from orchestrator.errors import usage_error

NAMED: dict[str, tuple[int, ...]] = {
    "short": (32,),
    "chunk": (256,),
    "page": (1024,),
    "mixed": (16, 32, 64, 128, 256),
}
"""short: the length of the presets' target. chunk: Open WebUI's 1000 characters. page: a printed page. mixed: each in
equal parts, so the mean is 99.2 (all estimates, stated beside every figure)."""
LONGEST = 32768
"""The longest input of any model in the catalogue."""


def lengths_of(tokens: str) -> tuple[int, ...]:
    """The lengths that documents take in turn."""
    if tokens in NAMED:
        return NAMED[tokens]
    if tokens.isascii() and tokens.isdigit() and 1 <= int(tokens) <= LONGEST:
        return (int(tokens),)
    raise usage_error(
        "--tokens", tokens, f"is neither a number from 1 to {LONGEST} nor {', '.join(NAMED)}", "for example --tokens 32"
    )
