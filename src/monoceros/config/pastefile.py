"""PasteDeploy files as the setting ``paste`` names them: ``FILE`` or ``FILE#NAME``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LOGGERS = re.compile(rb"^\[loggers\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PasteFile:
    """An absolute path, and the name of an application in the file, ``main`` by default."""

    path: str
    name: str = "main"

    @classmethod
    def parse(cls, text: str, cwd: str) -> PasteFile:
        """Take ``FILE#NAME`` apart; a relative path counts from ``cwd``."""
        file, _, name = text.partition("#")
        return cls(str(Path(cwd, file)), name or "main")

    def has_loggers(self) -> bool:
        """Whether the file configures logging as well; not if it cannot be read."""
        try:
            return _LOGGERS.search(Path(self.path).read_bytes()) is not None
        except OSError:
            return False
