"""``monoceros gunicorn-command status``: who answers to the name ``gunicorn`` here."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from monoceros.compat import owners, status

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = "Usage: monoceros gunicorn-command status"
USAGE_ERROR = 2
WIDTH = 96


def run(words: Sequence[str]) -> int:
    """Do what the words after ``gunicorn-command`` ask for; returns the exit code."""
    if list(words) == ["status"]:
        return _tell_status()
    is_help = any(word in ("-h", "--help") for word in words)
    about = "Tells who answers to the name gunicorn; the exit code is 1 where that is not clear."
    print(f"{USAGE}\n\n{about}" if is_help else USAGE, file=None if is_help else sys.stderr)
    return 0 if is_help else USAGE_ERROR


def _tell_status() -> int:
    found = owners.collect()
    problems = list(status.find_problems(found))
    print(f"Who answers to gunicorn in {sys.prefix}:\n")
    print(*status.list_answers(found), "", sep="\n")
    print(*map(_wrap, problems or [status.conclude(found)]), sep="\n\n")
    return 1 if problems else 0


def _wrap(text: str) -> str:
    """Break long lines, but not those that begin with blanks: they are commands."""
    lines = text.splitlines()
    return "\n".join(line if line.startswith(" ") else _fill(line) for line in lines)


def _fill(line: str) -> str:
    # Paths and names stay whole, to be copied.
    return textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
