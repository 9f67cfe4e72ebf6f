"""The header of a GGUF file: its metadata, without the weights. Pure parsing of bytes.

Format: ggml-org/ggml docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import struct
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
STRING, ARRAY = 8, 9
KEPT_ARRAY = 64
"""Longer arrays (the vocabulary) are kept as their length only."""
FILE_TYPES = {
    0: "f32", 1: "f16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "bf16",
}  # fmt: skip
"""`general.file_type`, as llama.cpp's enum llama_ftype numbers them."""
POOLING = {0: "none", 1: "mean", 2: "cls", 3: "last_token", 4: "rank"}


class IncompleteError(Exception):
    """The bytes end inside the header: more must be read."""


class NotGgufError(Exception):
    """These bytes are no GGUF header that llama.cpp would read."""


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise IncompleteError
        part, self._at = self._data[self._at : end], end
        return part

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self) -> str:
        return self.take(self.number("<Q")).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            return self._array()
        raise NotGgufError(f"unknown value type {kind}")

    def _array(self) -> Any:
        kind, count = self.number("<I"), self.number("<Q")
        if kind in SCALARS and count > KEPT_ARRAY:
            self.take(struct.calcsize(SCALARS[kind]) * count)
            return count
        values = [self.value(kind) for _ in range(count)]
        return values if count <= KEPT_ARRAY else count


def read_header(data: bytes) -> dict[str, Any]:
    """Key → value; an array longer than 64 → its length."""
    cursor = _Cursor(data)
    if cursor.take(4) != MAGIC:
        raise NotGgufError(f"the file begins with {data[:4]!r}, not with GGUF")
    version = cursor.number("<I")
    if version not in VERSIONS:
        raise NotGgufError(f"GGUF version {version}; llama.cpp reads 2 and 3")
    cursor.number("<Q")  # tensors
    pairs = cursor.number("<Q")
    return {cursor.text(): cursor.value(cursor.number("<I")) for _ in range(pairs)}
