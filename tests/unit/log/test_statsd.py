"""Metrics: their form, and that nothing waits for statsd."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from monoceros.log.statsd import Statsd
from tests.unit.log.support import call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.log.conftest import OpenLog


@pytest.fixture
def agent() -> Iterator[socket.socket]:
    """A socket that listens as statsd does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        yield sock


def open_statsd(open_log: OpenLog, agent: socket.socket, *argv: str, file: str = "") -> Statsd:
    address = f"127.0.0.1:{agent.getsockname()[1]}"
    log = open_log("--statsd-host", address, *argv, file=file, cls=Statsd)
    assert isinstance(log, Statsd)
    return log


def packets(agent: socket.socket, count: int) -> list[str]:
    received = [agent.recv(2000).decode() for _ in range(count)]
    agent.setblocking(False)
    with pytest.raises(BlockingIOError):
        agent.recv(2000)
    agent.settimeout(10)
    return received


def test_a_request(open_log: OpenLog, agent: socket.socket) -> None:
    log = open_statsd(open_log, agent)
    assert log.cfg.logger_class is Statsd
    assert log.wants_access_calls()
    call(log, "404 Not Found")
    assert packets(agent, 3) == [
        "gunicorn.request.duration:1500.007|ms",
        "gunicorn.requests:1|c|@1.0",
        "gunicorn.request.status.404:1|c|@1.0",
    ]


@pytest.mark.parametrize(
    ("prefix", "tags", "expected"),
    [
        ("shop", "", "shop.gunicorn.requests:1|c|@1.0"),
        ("shop.web..", "", "shop.web.gunicorn.requests:1|c|@1.0"),
        ("", "env:prod,a", "gunicorn.requests:1|c|@1.0|#env:prod,a"),
    ],
)
def test_prefix_and_tags(
    prefix: str, tags: str, expected: str, open_log: OpenLog, agent: socket.socket
) -> None:
    log = open_statsd(open_log, agent, "--statsd-prefix", prefix, "--dogstatsd-tags", tags)
    log.increment("gunicorn.requests", 1)
    assert packets(agent, 1) == [expected]


def test_messages_are_counted(open_log: OpenLog, agent: socket.socket) -> None:
    log = open_statsd(open_log, agent, "--log-level", "critical")
    for level in ("critical", "error", "warning", "info", "debug"):
        getattr(log, level)("x")
    log.log("error", "x")
    try:
        raise LookupError
    except LookupError:
        log.exception("x")
    assert packets(agent, 4) == [
        f"gunicorn.log.{level}:1|c|@1.0" for level in ("critical", "error", "warning", "exception")
    ]


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("gauge", "a.b:7|g"),
        ("counter", "a.b:7|c|@1.0"),
        ("timer", "a.b:7|ms"),
        ("histogram", "a.b:7|h"),
    ],
)
def test_messages_carry_metrics(
    kind: str, form: str, open_log: OpenLog, agent: socket.socket
) -> None:
    log = open_statsd(open_log, agent)
    extra = {"metric": "a.b", "value": 7, "mtype": kind}
    log.debug("hidden, and sent all the same", extra=extra)
    log.log("info", "x", extra=extra)
    assert packets(agent, 2) == [form, form]
    log.info("x", extra={"metric": "a.b", "value": 7, "mtype": "other"})
    log.info("x", extra={"request_id": 7})
    log.decrement("a.b", 2)
    assert packets(agent, 1) == ["a.b:-2|c|@1.0"]


def test_a_unix_socket_that_comes_and_goes(open_log: OpenLog, path: Path, tmp_path: Path) -> None:
    log = open_log("--statsd-host", f"unix://{tmp_path}/statsd", cls=Statsd)
    assert isinstance(log, Statsd)
    told = "[WARNING] statsd: metrics are lost: "
    for number in range(1, 3):
        for _ in range(3):
            log.gauge("a", 1)
        assert path.read_text().count(told) == number
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(tmp_path / "statsd"))
            sock.settimeout(10)
            log.gauge("b", 2)
            assert sock.recv(100) == b"b:2|g"
        (tmp_path / "statsd").unlink()


def test_nothing_waits_for_the_agent(open_log: OpenLog, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "statsd"))
        log = open_log("--statsd-host", f"unix://{tmp_path}/statsd", cls=Statsd)
        assert isinstance(log, Statsd)
        for _ in range(10_000):
            log.gauge("a", 1)


def test_a_name_that_means_nothing_is_told(open_log: OpenLog, path: Path) -> None:
    log = open_log("--statsd-host", "a..b:8125", cls=Statsd)
    assert isinstance(log, Statsd)
    log.gauge("a", 1)
    assert path.read_text().count("[WARNING] statsd: no metrics before the next reload: ") == 1


def test_ipv6(open_log: OpenLog) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        sock.settimeout(10)
        log = open_log("--statsd-host", f"[::1]:{sock.getsockname()[1]}", cls=Statsd)
        assert isinstance(log, Statsd)
        log.gauge("a", 1)
        assert sock.recv(100) == b"a:1|g"


def test_another_address_after_a_reload(open_log: OpenLog, agent: socket.socket) -> None:
    log = open_statsd(open_log, agent)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(10)
        log.setup(open_statsd(open_log, other).cfg)
        log.gauge("a", 1)
        assert other.recv(100) == b"a:1|g"
