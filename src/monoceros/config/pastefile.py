"""PasteDeploy files as the setting ``paste`` names them: ``FILE`` or ``FILE#NAME``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container

_LOGGERS = re.compile(rb"^\[loggers\]", re.MULTILINE)


class PasteFile(NamedTuple):
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


def adopt(text: str, values: dict[str, object], given: Container[str], cwd: str) -> str:
    """Fill in the settings that follow from ``paste``; returns a name for the application.

    The file names the processes, and configures logging where it has something to say on it.
    """
    file = PasteFile.parse(text, str(values.get("chdir") or cwd))
    if values["default_proc_name"] is None:
        values["default_proc_name"] = text.partition("#")[0]
    if "logconfig" not in given and file.has_loggers():
        values["logconfig"] = file.path
    return text
