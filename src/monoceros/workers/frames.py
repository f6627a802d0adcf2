"""What of a stack dump goes to the log: the text that ``faulthandler`` writes, made shorter.

It lists the most recent call first. The frames that only led to the application, which are the
server's own and what called it, are left out: what is being waited for stands at the top, and
the application's code at the end of each thread. So are threads that only serve.
"""

from __future__ import annotations

import os
import sys
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import monoceros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

LIMIT = 65536  # characters

_OURS = os.path.dirname(os.path.abspath(monoceros.__file__)) + os.sep  # noqa: PTH100, PTH120
_FRAME = '  File "'
_IMPORTLIB = _FRAME + "<frozen importlib"
_MOST_FRAMES = 200
_CURRENT = ("Current thread ", "Stack (most recent")


class Thread(NamedTuple):
    """One thread of a dump."""

    heading: str
    lines: list[str]

    @property
    def is_current(self) -> bool:
        """Whether it is the one that took the signal: the main thread, save for odd cases."""
        return self.heading.startswith(_CURRENT)


def names_current_thread(text: str) -> bool:
    """Whether the thread that took the signal is in the dump."""
    return any(thread.is_current for thread in _split(text))


def shorten(text: str, limit: int = LIMIT) -> str:
    """Return a dump with what matters, the current thread first, in about ``limit`` characters."""
    found = [thread for thread in _split(text) if thread.is_current or not _only_serves(thread)]
    threads = sorted(found, key=lambda thread: not thread.is_current)
    parts = ["\n".join([thread.heading, *_trim(thread.lines)]) for thread in threads]
    return cut("\n".join(parts), limit)


def cut(whole: str, limit: int) -> str:
    """Return a text, as far as lines of it have room in about ``limit`` characters."""
    if len(whole) <= limit:
        return whole
    kept = whole[: max(whole.rfind("\n", 0, limit), 0)]
    return f"{kept}\n[{len(whole) - len(kept)} more characters are left out]"


def _split(text: str) -> list[Thread]:
    threads: list[Thread] = []
    for line in text.splitlines():
        if line.startswith("  ") and threads:
            threads[-1].lines.append(line)
        elif line.strip():
            threads.append(Thread(line, []))
    return threads


def _only_serves(thread: Thread) -> bool:
    """Whether a thread is one of the server's, and not in the application."""
    frames = [line for line in thread.lines if line.startswith(_FRAME)]
    helpers = [line for line in frames if not line.startswith(_FRAME + _OURS)]
    return len(helpers) < len(frames) and all(f"{os.sep}threading.py" in line for line in helpers)


def _trim(lines: list[str]) -> list[str]:
    """Leave out the outermost block of the server's frames with all that called it."""
    ours = [line.startswith(_FRAME + _OURS) for line in lines]
    if not any(ours):
        return lines
    start = end = len(ours) - 1 - ours[::-1].index(True)
    while start > 0 and ours[start - 1]:
        start -= 1
    if start == 0:
        return lines[: end + 1]  # the application is not involved
    kept = [line for line in lines[:start] if not line.startswith(_IMPORTLIB)]
    while len(kept) > 1 and f"importlib{os.sep}__init__.py" in kept[-1]:
        kept.pop()
    return kept or lines[:start]


def frame_of(thread: int | None) -> FrameType | None:
    """Return where a thread is, by its identity; None where there is no such thread."""
    # Without the GIL the frames may be a step ahead of their lines.
    return None if thread is None else sys._current_frames().get(thread)


def describe(frame: FrameType | None) -> str:
    """Return what matters of the stack that ends in ``frame``, as a dump has it."""
    return shorten(list_frames(_callers(frame)))


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def is_ours(frame: FrameType) -> bool:
    """Whether it is the server's code that runs there."""
    return frame.f_code.co_filename.startswith(_OURS)


def list_frames(frames: Iterable[FrameType], title: str = "Stack") -> str:
    """Return frames, the innermost first, as a dump has them."""
    lines = [f"{title} (most recent call first):"]
    for frame in islice(frames, _MOST_FRAMES):
        code = frame.f_code
        lines.append(f'{_FRAME}{code.co_filename}", line {frame.f_lineno} in {code.co_name}')
    return "\n".join(lines)
