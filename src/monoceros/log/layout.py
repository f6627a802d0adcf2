"""Access formats that need the ``%`` of Python, because they hold more than plain atoms."""

from __future__ import annotations

import re

# A flag, a width, a precision, or a conversion other than the plain ones of whole values.
_LAID_OUT = r"%\([^)]*\)(?![sdi])[-#0 +]*\d*(?:\.\d+)?[hlL]?[diouxXeEfFgGcrsa]"
# The dict of atoms has variables in any case, but the environ has them as they are written.
_CASELESS = r"%\(\{[^}]*[a-z][^}]*\}e\)"


def needs_percent(text: str) -> bool:
    """Whether a format has widths and the like, or names a variable in small letters."""
    # Compiled here: only workers ask, and only once.
    return bool(re.search(_LAID_OUT, text) or re.search(_CASELESS, text))
