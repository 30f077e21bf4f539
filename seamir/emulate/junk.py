"""Arbitrary bits for registers and memory that a test leaves open: the same for the same seed."""

from __future__ import annotations

import struct
from hashlib import shake_128

_LENGTH = 1 << 16  # bytes
_TEXT = shake_128(b"junk").digest(2 * _LENGTH)


class Junk:
    """A walk through one random text from a place that the seed decides.

    Much faster than a random number generator, which takes longer to seed than a wrapper runs.
    """

    def __init__(self, seed: int) -> None:
        self._position = seed * 0x9E37_79B1

    def bytes(self, count: int) -> bytes:
        """So many bytes, at most 65,536."""
        start = self._position % _LENGTH
        self._position += count
        return _TEXT[start : start + count]

    def words(self, count: int) -> tuple[int, ...]:
        """So many 64-bit words."""
        return struct.unpack(f"<{count}Q", self.bytes(8 * count))

    def word(self) -> int:
        """64 bits."""
        return self.words(1)[0]
