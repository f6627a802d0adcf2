"""syslog: its addresses, its messages, and that nothing waits for it."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.errors import ConfigError
from monoceros.log.syslog import Target, find_targets
from tests.unit.log.support import call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from monoceros.config import Config
    from monoceros.log.logger import Logger
    from tests.unit.log.conftest import OpenLog

DGRAM, STREAM = socket.SOCK_DGRAM, socket.SOCK_STREAM


@pytest.mark.parametrize(
    ("address", "targets"),
    [
        ("udp://127.0.0.1:5514", [Target(socket.AF_INET, DGRAM, ("127.0.0.1", 5514))]),
        ("udp://127.0.0.1", [Target(socket.AF_INET, DGRAM, ("127.0.0.1", 514))]),
        ("tcp://[::1]:5514", [Target(socket.AF_INET6, STREAM, ("::1", 5514, 0, 0))]),
        ("unix:///run/x#dgram", [Target(socket.AF_UNIX, DGRAM, "/run/x")]),
        ("unix:///run/x#stream", [Target(socket.AF_UNIX, STREAM, "/run/x")]),
        (
            "unix:///run/x",
            [Target(socket.AF_UNIX, DGRAM, "/run/x"), Target(socket.AF_UNIX, STREAM, "/run/x")],
        ),
    ],
)
def test_addresses(address: str, targets: list[Target], make_cfg: Callable[..., Config]) -> None:
    assert find_targets(make_cfg("--log-syslog-to", address)) == targets


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("syslog_addr", "localhost:514"),
        ("syslog_addr", "http://localhost"),
        ("syslog_addr", "udp://localhost:port"),
        ("syslog_addr", "udp://localhost:0"),
        ("syslog_addr", "udp://localhost:65536"),
        ("syslog_addr", "udp://[::1"),
        ("syslog_addr", "unix://"),
        ("syslog_addr", "unix:///run/x#udp"),
        ("syslog_facility", "nobody"),
    ],
)
def test_mistakes(setting: str, value: str, open_log: OpenLog, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_log(file=f"syslog = True\n{setting} = {value!r}")
    text = str(caught.value)
    assert text.startswith(f"Invalid value for {setting}: {value!r}")
    assert text.endswith(f" Set in: {tmp_path}/gunicorn.conf.py:2.")


def receiver(kind: int, family: int = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.settimeout(10)
    sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else "syslog")
    if kind == STREAM:
        sock.listen()
    return sock


def over_udp(open_log: OpenLog, port: int, *argv: str) -> Logger:
    return open_log("--log-syslog", "--log-syslog-to", f"udp://127.0.0.1:{port}", *argv)


def test_messages(open_log: OpenLog) -> None:
    with receiver(DGRAM) as sock:
        log = over_udp(
            open_log, sock.getsockname()[1], "--log-syslog-prefix", "a:b",
            "--log-syslog-facility", "LOCAL3", "--access-logformat", "%(U)s",
        )  # fmt: skip
        log.warning("two\nlines %s", "\ud800")
        call(log)
        pid = os.getpid()
        expected = f"<156>gunicorn.a.b.error: [{pid}] two\nlines \\ud800\0"
        assert sock.recv(1000).decode() == expected
        assert sock.recv(1000).decode() == f"<158>gunicorn.a.b.access: [{pid}] /p\0"


def test_the_prefix_is_the_name_of_the_process(open_log: OpenLog) -> None:
    with receiver(DGRAM) as sock:
        log = over_udp(open_log, sock.getsockname()[1], "--name", "shop")
        log.info("x")
        assert sock.recv(1000).startswith(b"<14>gunicorn.shop.error: ")


def test_access_may_stay_out(open_log: OpenLog) -> None:
    with receiver(DGRAM) as sock:
        port = sock.getsockname()[1]
        assert over_udp(open_log, port).wants_access_calls()
        log = over_udp(open_log, port, "--disable-redirect-access-to-syslog")
        assert not log.access_log_enabled
        assert not log.wants_access_calls()
        assert log.access_log.handlers == []


@pytest.mark.parametrize("kind", ["#stream", "#dgram", ""])
def test_unix_sockets(kind: str, open_log: OpenLog, tmp_path: Path) -> None:
    is_stream = kind != "#dgram"  # a datagram is what is tried first
    with receiver(STREAM if is_stream else DGRAM, socket.AF_UNIX) as sock:
        log = open_log("--log-syslog", "--log-syslog-to", f"unix://{tmp_path}/syslog{kind}")
        log.info("one\ntwo")
        log.info("three")
        if not is_stream:
            assert sock.recv(1000).endswith(b"] one\ntwo\0")
            return
        with sock.accept()[0] as stream:
            log.setup(open_log().cfg)  # closes the connection
            data = b"".join(iter(lambda: stream.recv(1000), b""))
        assert re.fullmatch(rb"<14>[^\n]*\] one#012two\n<14>[^\n]*\] three\n", data)


def test_each_process_has_a_connection_of_its_own(open_log: OpenLog) -> None:
    with receiver(STREAM) as sock:
        address = f"tcp://127.0.0.1:{sock.getsockname()[1]}"
        log = open_log("--log-syslog", "--log-syslog-to", address)
        log.info("parent")
        pid = os.fork()
        if pid == 0:
            log.info("child")
            os._exit(0)
        os.waitpid(pid, 0)
        log.info("parent again")
        with sock.accept()[0] as first, sock.accept()[0] as second:
            assert second.recv(1000).endswith(b"] child\n")
            log.setup(open_log().cfg)
            data = b"".join(iter(lambda: first.recv(1000), b""))
        assert re.fullmatch(rb"[^\n]*\] parent\n[^\n]*\] parent again\n", data)


def test_nothing_waits_for_a_reader(open_log: OpenLog, tmp_path: Path) -> None:
    with receiver(STREAM, socket.AF_UNIX) as sock:
        log = open_log("--log-syslog", "--log-syslog-to", f"unix://{tmp_path}/syslog#stream")
        log.info("first")
        with sock.accept()[0] as stream:
            for _ in range(200):
                log.info("x" * 10_000)
            sent = bytearray()
            while not sent.endswith(b"] last\n"):
                sent += stream.recv(1 << 20)
                log.info("last")
        # What came after the line that was cut off is lost, but no line is torn.
        assert len(sent) < 200 * 10_000
        assert all(re.fullmatch(rb"<14>[^<]*", line) for line in sent.splitlines())


@pytest.mark.parametrize("scheme", ["udp", "tcp", "unix"])
def test_a_syslog_that_comes_back(scheme: str, open_log: OpenLog, tmp_path: Path) -> None:
    kind = STREAM if scheme == "tcp" else DGRAM
    family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
    with socket.socket(family, kind) as keeper, socket.socket(family, kind) as sock:
        for one in (keeper, sock):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        where = "syslog" if scheme == "unix" else keep_port(keeper)
        address = f"{tmp_path}/syslog#dgram" if scheme == "unix" else f"127.0.0.1:{where[1]}"
        log = open_log("--log-syslog", "--log-syslog-to", f"{scheme}://{address}")
        began = time.monotonic()
        for _ in range(100):
            log.info("lost")
        assert time.monotonic() - began < 5
        sock.bind(where)
        sock.settimeout(0.05)
        if kind == STREAM:
            sock.listen()
        assert receive(log, sock, kind).rstrip(b"\0\n").endswith(b"] back")


def keep_port(keeper: socket.socket) -> tuple[str, int]:
    """Take a port, so that nobody else is given it, and let nobody in."""
    keeper.bind(("127.0.0.1", 0))
    host, port = keeper.getsockname()
    if keeper.type == DGRAM:
        keeper.connect((host, port))
    return host, port


def receive(log: Logger, sock: socket.socket, kind: int) -> bytes:
    """Log until something arrives."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        log.info("back")
        try:
            if kind == DGRAM:
                return sock.recv(1000)
            with sock.accept()[0] as stream:
                stream.settimeout(1)
                log.info("back")
                return stream.recv(1000)
        except TimeoutError:
            continue
    raise AssertionError("nothing arrived")


def test_handlers_are_what_third_parties_expect(open_log: OpenLog) -> None:
    with receiver(DGRAM) as sock:
        log = over_udp(open_log, sock.getsockname()[1])
        handlers = log.error_log.handlers
        assert isinstance(handlers[1], logging.Handler)
        assert [getattr(one, "_gunicorn", False) for one in handlers] == [True, True]
        log.setup(log.cfg)
        assert len(log.error_log.handlers) == 2
