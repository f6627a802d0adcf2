"""Counting connections that nobody has accepted yet."""

from __future__ import annotations

import socket
import sys

import pytest

from monoceros.net.backlog import count_waiting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


def test_count_waiting() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
        socket.socket(socket.AF_UNIX) as other,
    ):
        assert count_waiting([one, two, other]) == 0
        with (
            socket.create_connection(one.getsockname()),
            socket.create_connection(two.getsockname()),
        ):
            assert count_waiting([one, two]) == 2
            one.accept()[0].close()
            assert count_waiting([one, two]) == 1
        assert count_waiting([other]) is None
    assert count_waiting([one]) is None
