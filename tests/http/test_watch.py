"""A thread's look at how long another one has been at work."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.http.types import LATE_BATCH, LATE_CALL, QUIET, WOKEN
from tests.http.apps import answer
from tests.http.link import DEADLINE_S, Link
from tests.http.support import GET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http.types import Environ, StartResponse, Twin

TICK_S = 0.002
LONG = 1 << 30


@pytest.fixture
def bell() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


class Slow:
    """An application whose calls last until they are let go."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.go = threading.Event()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self.called.set()
        assert self.go.wait(DEADLINE_S)
        start_response("200 OK", [])
        return [b"done"]


def test_nothing_happens(twin: Twin, bell: tuple[int, int]) -> None:
    with Link(twin, answer(b"")) as link:
        watch = twin.Watch(bell[0])
        assert watch.judge(TICK_S) == QUIET  # nobody to look at
        watch.follow(link.core)
        began = time.monotonic()
        assert watch.wait(TICK_S, 5) == QUIET
        assert time.monotonic() - began >= 5 * TICK_S
        assert watch.is_unchanged()
        link.core.tick(time.monotonic())
        assert not watch.is_unchanged()


def test_the_bell_ends_a_wait(twin: Twin, bell: tuple[int, int]) -> None:
    watch = twin.Watch(bell[0])
    threading.Timer(0.05, os.write, (bell[1], b"x")).start()
    assert watch.wait(TICK_S, LONG) == WOKEN


def test_a_long_call(twin: Twin, bell: tuple[int, int]) -> None:
    app = Slow()
    with Link(twin, app) as link:
        watch = twin.Watch(bell[0])
        watch.follow(link.core)
        link.client.sendall(GET)
        link.core.tick(time.monotonic())
        thread = threading.Thread(target=link.conn.ready)
        thread.start()
        try:
            assert app.called.wait(DEADLINE_S)
            assert watch.wait(TICK_S, LONG) == LATE_CALL
            assert not watch.is_unchanged()
            assert watch.judge(LONG) == QUIET
        finally:
            app.go.set()
            thread.join()
        assert watch.judge(TICK_S) == QUIET


def test_a_young_call_in_an_old_batch(twin: Twin, bell: tuple[int, int]) -> None:
    app = Slow()
    with Link(twin, app) as link:
        watch = twin.Watch(bell[0])
        watch.follow(link.core)
        link.client.sendall(GET)
        link.core.tick(time.monotonic() - 100)
        thread = threading.Thread(target=link.conn.ready)
        thread.start()
        try:
            assert app.called.wait(DEADLINE_S)
            assert watch.judge(50) == LATE_BATCH
        finally:
            app.go.set()
            thread.join()


def test_waits_look_at_whoever_leads(twin: Twin, bell: tuple[int, int]) -> None:
    app = Slow()
    with Link(twin, answer(b"")) as idle, Link(twin, app) as busy:
        watch = twin.Watch(bell[0])
        watch.follow(idle.core)
        found: list[int] = []
        waiting = threading.Thread(target=lambda: found.append(watch.wait(TICK_S, LONG)))
        waiting.start()
        busy.client.sendall(GET)
        thread = threading.Thread(target=busy.conn.ready)
        thread.start()
        try:
            assert app.called.wait(DEADLINE_S)
            watch.follow(busy.core)
            waiting.join(DEADLINE_S)
            assert found in ([LATE_CALL], [LATE_BATCH])
        finally:
            app.go.set()
            thread.join()
