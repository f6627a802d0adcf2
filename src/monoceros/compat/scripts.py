"""Scripts called ``gunicorn``: where they are, whose they are, and which interpreter runs them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from monoceros.compat.finder import NAME

if TYPE_CHECKING:
    from importlib.metadata import Distribution

LONGEST = 4096  # scripts that an installer writes have some hundred octets

# Installers write the same few lines for every entry point.
_IMPORT = re.compile(r"^from ([\w.]+) import ", re.MULTILINE)
# Where the interpreter's path does not fit into a line for the kernel, the shell runs it.
_SHELL = re.compile(r"#!/bin/sh\n'''exec' (.*)")


class Script(NamedTuple):
    """A script, the top-level package that it runs, and the interpreter in its first line."""

    path: Path
    package: str  # "" where it is no entry point
    interpreter: str

    @property
    def is_of_this_environment(self) -> bool:
        """Whether it is run by the interpreter that runs this."""
        ours = Path(sys.executable).parent
        return Path(self.interpreter).parent.resolve() == ours.resolve()


def read(path: Path) -> Script:
    """Return what is in a script; unreadable ones have neither package nor interpreter."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST).decode("utf-8", "replace")
    except OSError:
        text = ""
    found = _IMPORT.search(text)
    return Script(path, found.group(1).partition(".")[0] if found else "", _interpreter(text))


def _interpreter(text: str) -> str:
    shell = _SHELL.match(text)
    if shell:
        return shlex.split(shell.group(1))[0]
    words = text.removeprefix("#!").partition("\n")[0].split() if text.startswith("#!") else []
    return words[0] if words else ""


def find_on_path() -> Script | None:
    """Return what a shell runs under the name."""
    found = shutil.which(NAME)
    return read(Path(found)) if found else None


def find_of(distributions: list[Distribution]) -> Script | None:
    """Return the script that one of the distributions has put here, or that is here anyway."""
    places = [place(one) for one in distributions] or [_usual_place()]
    return next((read(path) for path in places if path.exists()), None)


def place(distribution: Distribution) -> Path:
    """Return where a distribution has, or had, its script."""
    # Not ``files``, which leaves out what is missing.
    record = (distribution.read_text("RECORD") or "").splitlines()
    files = (line.partition(",")[0] for line in record)
    found = next((file for file in files if file.endswith(f"/bin/{NAME}")), None)
    if found is None:
        return _usual_place()
    recorded = Path(os.path.normpath(str(distribution.locate_file(found))))
    # Where pip was given a folder of its own (--target), its record is not right.
    beside = Path(str(distribution.locate_file(f"bin/{NAME}")))
    return beside if beside.exists() and not recorded.exists() else recorded


def _usual_place() -> Path:
    return Path(sysconfig.get_path("scripts"), NAME)
