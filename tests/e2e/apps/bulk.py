"""Content of any length that both ends of a test can make by themselves."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 16

# Of a length that is no multiple of any buffer's, so that a lost or doubled piece changes the hash.
_PATTERN = random.Random(2).randbytes(PIECE - 7)


def pieces(size: int) -> Iterator[bytes]:
    """Yield ``size`` octets, always the same ones."""
    while size > 0:
        yield _PATTERN[:size]
        size -= len(_PATTERN)


def digest(size: int) -> str:
    """Return the SHA-256 of ``pieces(size)``."""
    found = hashlib.sha256()
    for piece in pieces(size):
        found.update(piece)
    return found.hexdigest()
