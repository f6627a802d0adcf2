"""What a worker tells the arbiter, by a pipe that is theirs alone."""

from __future__ import annotations

import contextlib
import enum

from monoceros.unpatched import read, write


class News(enum.Enum):
    """One octet each."""

    READY = b"1"
    BOOTED = b"5"  # it has the application, and tells READY once it serves
    WORN_OUT = b"2"  # it has answered as many requests as it is to
    LOST = b"4"  # its threads are lost to requests that have timed out
    ASGI = b"6"  # its application has made it an asgi worker
    LEAVING = b"3"  # it takes no more connections, whoever wanted that


def tell(fd: int, news: News) -> None:
    """Write to the arbiter, who may have died meanwhile."""
    with contextlib.suppress(BrokenPipeError):
        write(fd, news.value)


def listen(fd: int) -> list[News] | None:
    """Return what is new on a non-blocking descriptor; None at its end."""
    try:
        octets = read(fd, 64)
    except BlockingIOError:
        return []
    if not octets:
        return None
    # Whatever else an application may have written there means nothing.
    return [news for news in News if news.value in octets]
