"""Turning newcomers away from a listener whose queue is still to be emptied."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.net import closing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")
privileged = pytest.mark.skipif(os.getuid() != 0, reason="filters are for privileged processes")

KINDS = {"tcp": (socket.AF_INET, "127.0.0.1"), "tcp6": (socket.AF_INET6, "::1")}


@contextlib.contextmanager
def listen(kind: str, path: Path, *, shared: bool = False) -> Iterator[socket.socket]:
    family, host = KINDS.get(kind, (socket.AF_UNIX, ""))
    with socket.socket(family) as listener:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, 0) if host else str(path / "socket"))
        listener.listen(16)
        listener.setblocking(False)
        yield listener


def connect(listener: socket.socket) -> socket.socket:
    client = socket.socket(listener.family)
    client.settimeout(0.5)
    try:
        client.connect(listener.getsockname())
    except BaseException:
        client.close()
        raise
    return client


@pytest.mark.parametrize(
    ("kind", "means"), [("tcp", "interface"), ("tcp6", "interface"), ("unix", "shutdown")]
)
def test_newcomers_are_refused_and_the_queue_stays(tmp_path: Path, kind: str, means: str) -> None:
    with listen(kind, tmp_path) as listener, connect(listener) as client:
        assert not closing.is_ending(listener)
        assert closing.refuse_newcomers(listener) == means
        assert closing.is_ending(listener)
        with pytest.raises(ConnectionRefusedError):
            connect(listener)
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"ping")
            accepted.settimeout(5)
            assert accepted.recv(9) == b"ping"
        with pytest.raises(BlockingIOError):
            listener.accept()


@privileged
def test_port_that_servers_share_is_filtered(tmp_path: Path) -> None:
    with listen("tcp", tmp_path, shared=True) as listener, connect(listener):
        assert closing.refuse_newcomers(listener) == "filter"
        assert closing.is_ending(listener)
        with pytest.raises(TimeoutError):
            connect(listener)
        listener.accept()[0].close()


def test_where_nothing_else_is_allowed_the_queue_is_made_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(listener: socket.socket) -> None:
        raise PermissionError

    monkeypatch.setattr(closing, "leave_interfaces", refuse)
    monkeypatch.setattr(closing, "drop_syn", refuse)
    with listen("tcp", tmp_path) as listener, connect(listener):
        assert closing.refuse_newcomers(listener) == "backlog"
        assert closing.is_ending(listener)
        listener.accept()[0].close()


@privileged
def test_no_privilege_is_needed_save_for_filters(tmp_path: Path) -> None:
    with listen("tcp", tmp_path) as listener, listen("tcp6", tmp_path) as other:
        if not (pid := os.fork()):
            code = 1
            with contextlib.suppress(BaseException):
                os.setuid(65534)
                with pytest.raises(PermissionError):
                    closing.drop_syn(other)
                code = int(closing.refuse_newcomers(listener) != "interface")
            os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        # What one process does to a socket, all that have it see.
        assert closing.is_ending(listener)
        assert not closing.is_ending(other)


def test_only_unix_sockets_are_readable_for_ever(tmp_path: Path) -> None:
    for kind in ("tcp", "unix"):
        with listen(kind, tmp_path) as listener:
            closing.refuse_newcomers(listener)
            assert closing.is_shut(listener) == (kind == "unix")


def test_socket_that_does_not_listen_any_more(tmp_path: Path) -> None:
    with listen("tcp", tmp_path) as listener:
        listener.close()
        assert closing.refuse_newcomers(listener) == ""


def test_who_has_a_listener_open(tmp_path: Path) -> None:
    waiting = [sys.executable, "-c", "input()"]
    with listen("tcp", tmp_path) as listener:
        assert closing.has_open(os.getpid(), listener)
        with subprocess.Popen(waiting, stdin=subprocess.PIPE) as other:
            # Up to its exec it has what we have.
            while closing.has_open(other.pid, listener):
                assert other.poll() is None
            other.communicate(b"\n")
        assert closing.has_open(other.pid, listener)  # it cannot be known any more
