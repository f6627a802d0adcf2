"""What X-Request-Start and the kernel tell of a request's way."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from monoceros.workers.arrivals import LONGEST_S, unread_for, waited_before

NOW = 1_700_000_000.5


@pytest.mark.parametrize(
    "text",
    [
        "t=1699999998.500",
        "1699999998.5",
        "1699999998500",
        "t=1699999998500",
        "t=1699999998500.0",
        "t=1699999998500000",
        "1699999998500000",
        " t=1699999998.5 ",
        "t=1699999990.5, t=1699999998.5",
    ],
)
def test_units(text: str) -> None:
    assert waited_before(text, NOW) == pytest.approx(2, abs=0.001)


@pytest.mark.parametrize(
    "text",
    [
        *("", "t=", "yesterday", "t=-5", "-1699999998.5", "t=1e9", "nan", "inf", "0x10", "."),
        *("t=t=1699999998.5", "1699999998,5", "0", "5", f"{NOW - LONGEST_S - 1}", f"{NOW + 1}"),
        *(f"{1000 * NOW + 1:.0f}", "99999999999999999999", "1" * 400, "\u0661\u0662"),
    ],
)
def test_nonsense_and_the_future_say_nothing(text: str) -> None:
    assert waited_before(text, NOW) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_octets_are_as_old_as_their_arrival() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        client.sendall(b"x")
        time.sleep(0.2)  # what is measured
        server, _ = listener.accept()
        with server:
            assert 0.15 < unread_for(server.fileno()) < 10
            assert server.recv(1) == b"x"  # the socket is open still


def test_unix_sockets_do_not_tell() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert unread_for(one.fileno()) == 0
