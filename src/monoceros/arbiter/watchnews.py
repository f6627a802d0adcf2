"""What the arbiter and the watcher say to each other: a plan, and news over a pipe.

A module of its own, so that the arbiter loads the watcher only where there is to be one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from monoceros.unpatched import write

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGED = "changed"  # kinds of news
WARNING = "warning"


class Plan(NamedTuple):
    """What is to be watched besides the workers' modules, and how."""

    engine: str  # the setting reload_engine
    entries: tuple[str, ...]  # files and patterns, absolute


def send_news(pipe: int, kind: str, text: str) -> None:
    """Tell the arbiter; raises BrokenPipeError where it is gone."""
    data = f"{kind} ".encode() + os.fsencode(text) + b"\0"
    while data:
        data = data[write(pipe, data) :]


def split_news(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield kind and text of what ``send_news`` has sent, whole messages only."""
    for message in data.split(b"\0")[:-1]:
        kind, _, text = message.partition(b" ")
        yield kind.decode(), os.fsdecode(text)
