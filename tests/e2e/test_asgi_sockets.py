"""WebSockets of the ASGI worker over real sockets, on both twins."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.sockets import talk, upgrade

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

APP = "tests.e2e.apps.sockets:app"


def start(serve: Serve, *args: str, **options: Any) -> Server:
    srv = serve("-k", "asgi", "--workers", "1", *args, APP, **options)
    srv.wait_workers(1)
    return srv


# -- turns -------------------------------------------------------------------------------------


@contextlib.contextmanager
def busy(client: socket.socket, work: Callable[[socket.socket], object]) -> Iterator[None]:
    """Have a thread do the same over and over, until the connection is closed."""

    def go_on() -> None:
        with contextlib.suppress(OSError):
            while work(client):
                pass

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        client.shutdown(2)
        thread.join()


def test_one_that_sends_without_end_does_not_hold_up_another(serve: Serve) -> None:
    srv = start(serve, "--asgi-loop", "asyncio")
    with srv.connect() as greedy, srv.connect() as other:
        upgrade(other)
        upgrade(greedy, "/flood")
        with busy(greedy, lambda client: client.recv(1 << 20)):
            for number in range(20):
                assert talk(other, str(number)) == str(number)
            assert srv.get("/").status == 200
