"""The switches that let broken clients in: folded field lines, and blanks before the colon.

Heads that the strict grammar refuses are rewritten into what they mean and judged again, so
that neither twin's parser knows of these switches.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monoceros.http.types import Limits, Rules

_FOLD = re.compile(rb"\r\n[ \t]+")
_BLANK_BEFORE_COLON = re.compile(rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]+:", re.MULTILINE)


def is_ended(data: bytes, limits: Limits) -> bool:
    """Tell whether a head's empty line has come before anything that ends it as refused.

    What is too long, or has a bare LF, was refused before its empty line could be seen if it
    came slowly; the verdict must not depend on that.
    """
    start = 2 if data.startswith(b"\r\n") else 0
    end = data.find(b"\r\n\r\n", start)
    line, *fields = data[start : end + 2].split(b"\n")[:-1]
    return (
        end + 4 - start <= limits.head
        and len(line) <= limits.line + 1
        and len(fields) <= limits.fields
        and max(map(len, fields), default=0) < limits.field
        and all(one.endswith(b"\r") for one in (line, *fields))
    )


def normalise(data: bytes, rules: Rules) -> bytes | None:
    """Return ``data`` with a strict head, or None where the rules change nothing."""
    if not (rules.permit_obsolete_folding or rules.strip_header_spaces):
        return None
    end = data.find(b"\r\n\r\n", 2) + 2
    line = data.find(b"\r\n", 2)
    if end < 2 or line < 0:
        return None
    fields = data[line:end]
    if rules.permit_obsolete_folding:
        # RFC 9112 5.2: a fold stands for one or more spaces. A fold right behind the request
        # line has no field to continue and stays an error.
        first, rest = fields[:3], fields[3:]
        fields = first + _FOLD.sub(b" ", rest)
    if rules.strip_header_spaces:
        fields = _BLANK_BEFORE_COLON.sub(rb"\1:", fields)
    result = data[:line] + fields + data[end:]
    return result if result != data else None
