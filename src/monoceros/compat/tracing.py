"""Tracing, as the setting ``spew`` does it, to be turned on and off by a program."""

from __future__ import annotations

import sys
import threading

from monoceros.workers.spew import start


def spew() -> None:
    """Print every line that is executed from now on, on the standard error."""
    start()


def unspew() -> None:
    """Print them no more."""
    threading.settrace(None)
    sys.settrace(None)
