"""Clients of all kinds at the same time, while their workers are replaced again and again."""

from __future__ import annotations

import contextlib
import signal
import threading
import traceback
from collections import Counter
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.e2e.asgi import start
from tests.e2e.clients import read_answer
from tests.e2e.test_asgi_bytes import Read, ask_for, narrow, send, wanted
from tests.e2e.test_asgi_vanishing import PLACES, vanish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled, pytest.mark.slow]

_RELOADS = 4
_SEEDS = 50
_LARGEST = 1 << 19
_PLACES = tuple(PLACES)


class Clients:
    """Threads that each do one thing until the end, and count what was not as it should be."""

    def __init__(self, srv: Server) -> None:
        self.done: Counter[str] = Counter()
        self.faults: list[object] = []
        self._srv = srv
        self._is_over = threading.Event()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Have them ask while the block runs."""
        works = [self._read, self._read, self._mirror, self._vanish]
        threads = [
            threading.Thread(target=self._repeat, args=(work, Random(number)))
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def _repeat(self, work: Callable[[Random], bool], random: Random) -> None:
        while not self._is_over.is_set():
            try:
                is_right = work(random)
            except Exception:  # whatever it is, the test is to tell
                self.faults.append(traceback.format_exc())
                return
            self.done[work.__name__] += 1
            if not is_right:
                self.faults.append(work.__name__)

    def _read(self, random: Random) -> bool:
        first = random.randrange(_SEEDS)
        seeds = range(first, first + random.randrange(1, 4))
        with narrow(self._srv) as client:
            ask_for(client, seeds, "Connection: close")
            return list(Read(client, first).contents()) == wanted(seeds)

    def _mirror(self, random: Random) -> bool:
        content = random.randbytes(random.randrange(_LARGEST))
        framing = random.choice(["sized", "chunked"])
        with self._srv.connect() as client:
            sender = threading.Thread(target=send, args=(client, content, framing))
            sender.start()
            try:
                return read_answer(client).body == content
            finally:
                sender.join()

    def _vanish(self, random: Random) -> bool:
        vanish(self._srv, random.choice(_PLACES), resets=random.random() < 0.5)
        self._is_over.wait(0.005)
        return True


def test_nobody_notices_that_workers_are_replaced(serve: Serve) -> None:
    srv = start(serve, "--max-requests", "500", workers=2)
    clients = Clients(srv)
    with clients.at_work():
        for _ in range(_RELOADS):
            before = srv.workers()
            srv.signal(signal.SIGHUP)
            srv.wait_until(partial(_have_gone, srv, before), "successors")
            seen = Counter(clients.done)
            srv.wait_until(partial(_all_have_gone_on, clients, seen), "more of everything")
    assert not clients.faults
    assert not srv.count(r"\[(ERROR|CRITICAL)\]")


def _have_gone(srv: Server, workers: set[int]) -> bool:
    return not any(map(srv.owns, workers))


def _all_have_gone_on(clients: Clients, seen: Counter[str]) -> bool:
    if clients.faults:
        return True
    return all(clients.done[name] > seen[name] + 2 for name in ("_read", "_mirror", "_vanish"))
