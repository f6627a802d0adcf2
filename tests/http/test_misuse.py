"""What applications may do that PEP 3333 does not foresee, and what callbacks may raise."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.errors import StopWorker
from monoceros.http.types import AGAIN, CLOSE, LINGER, UPGRADE, Limits, Policy, Rules
from monoceros.scoreboard import RECORD_SIZE, REQUEST_OFFSET
from tests.http.link import Link
from tests.http.support import GET, Recorder, make_conn, make_core, read_responses, serve, serve_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monoceros.http.types import Environ, StartResponse, Twin

CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Octets(bytes):
    """Bytes of an application's own kind."""


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


# -- results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "write"])
@pytest.mark.parametrize("size", [3, 20_000])
def test_a_subclass_of_bytes_is_bytes(twin: Twin, kind: str, size: int) -> None:
    item = Octets(b"x" * size)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if kind == "write":
            write(item)
            return []
        if kind == "generator":
            return (one for one in [item])
        return [item] if kind == "list" else (item,)

    served = serve(twin, app, GET)
    assert served.response.body == b"x" * size
    assert served.log.failures == []


def test_a_list_that_shrinks_while_it_is_sent(twin: Twin) -> None:
    """The fields are the application's code, too."""
    result = [b"x" * 100 for _ in range(1000)]

    class Fields(list):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Any]:
            result.clear()
            return super().__iter__()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", Fields([("X", "y")]))
        return result

    served = serve(twin, app, GET)
    assert (served.code, served.response.whole) == (CLOSE, False)


def test_a_list_whose_items_change_while_it_is_sent(twin: Twin) -> None:
    result: list[Any] = [b"x" * 5]

    class Fields(list):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Any]:
            result[0] = 12345
            return super().__iter__()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", Fields([("X", "y")]))
        return result

    served = serve(twin, app, GET)
    assert served.response.status == 500
    assert [type(error) for _, error in served.log.failures] == [TypeError]


# -- start_response and write ------------------------------------------------------------------


@pytest.mark.parametrize("exc_info", [(), (None,), [1], 7, "abc", (None, None, None)])
def test_exc_info_that_is_none(twin: Twin, exc_info: Any) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "1")])
        write(b"a")
        start_response("500 No", [], exc_info)
        return []

    served = serve(twin, app, GET)
    assert served.response.body == b"a"
    assert len(served.log.failures) == 1
    assert isinstance(served.log.failures[0][1], Exception)


@pytest.mark.parametrize("end", ["whole", "failed", "gone"])
def test_write_after_the_request(twin: Twin, end: str) -> None:
    """Nothing of it may reach the answer to another request."""
    kept: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not kept:
            kept.append(start_response("200 OK", []))
            if end == "failed":
                raise RuntimeError("no")
            return (one for one in [b"one"])
        with pytest.raises(AssertionError, match="ended"):
            kept[0](b"stolen")
        start_response("200 OK", [])
        return [b"two"]

    served = serve(twin, app, GET)
    if end == "gone":
        served.conn.close()
    room = served.core.policy.budget.output.left
    with pytest.raises(AssertionError, match="ended"):
        kept[0](b"late")
    assert served.core.policy.budget.output.left == room
    other = make_conn(twin, served.core)
    assert serve_on(other, served.core, GET) == AGAIN
    (response,) = read_responses(other.data_to_send())
    assert response.body == b"two"


def test_write_from_close(twin: Twin) -> None:
    """The end of the content has been written before."""

    class Result:
        def __init__(self, write: Any) -> None:
            self.write = write

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a"])

        def close(self) -> None:
            self.write(b"b")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return Result(start_response("200 OK", []))

    served = serve(twin, app, GET)
    assert served.response.body == b"a"
    assert [type(error) for _, error in served.log.failures] == [AssertionError]


def test_the_socket_cannot_be_taken_after_the_request(twin: Twin) -> None:
    kept: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(environ["gunicorn.socket"])
        return hello(environ, start_response)

    with Link(twin, app) as link:
        assert link.ask(GET) == AGAIN
        with pytest.raises(OSError, match="ended"):
            kept[0].fileno()
        assert link.conn.fd == link.fd
        assert link.ask(GET) == AGAIN
        assert len(link.responses()) == 2


def test_a_taken_socket_does_not_have_the_head_again(twin: Twin) -> None:
    """A head that came in parts was kept in a buffer, of which nothing is unread."""
    taken: list[bytes] = []
    links: list[Link] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        assert links[0].conn.pending == 0
        links[0].send(b"frame")
        taken.append(environ["gunicorn.socket"].recv(100))
        return []

    with Link(twin, app) as link:
        links.append(link)
        assert link.ask(GET[:10]) == AGAIN
        assert link.ask(GET[10:]) == UPGRADE
        assert taken == [b"frame"]


def test_content_cannot_be_read_after_the_request(twin: Twin) -> None:
    """The descriptor may belong to another client by then."""
    kept: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(environ["wsgi.input"])
        return hello(environ, start_response)

    with Link(twin, app, policy=Policy(request_buffering=False, body_timeout=0.05)) as link:
        link.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
        link.send(b"secret")
        with pytest.raises((OSError, ValueError), match="ended"):
            kept[0].read(1)
        assert link.conn.discard() == LINGER


# -- errors out of callbacks -------------------------------------------------------------------


class BrokenLog(Recorder):
    """A log whose callbacks raise."""

    def refused(self, peer: str, error: Any) -> None:
        raise RuntimeError("log")

    def failed(self, environ: Environ, error: BaseException) -> None:
        raise RuntimeError("log")

    def warning(self, message: str) -> None:
        raise RuntimeError("log")


@pytest.mark.parametrize(
    "data",
    [GET + b"no such request\r\n\r\n" + GET, b"POST /boom HTTP/1.1\r\nHost: a\r\n\r\n" + GET],
)
def test_a_log_that_raises(twin: Twin, data: bytes) -> None:
    """The connection stays as good as any that is about to be closed."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/boom":
            raise ValueError
        return hello(environ, start_response)

    with Link(twin, app) as link:
        core = make_core(twin, app, log=BrokenLog())
        conn = twin.Conn(core, link.fd, "", "", "http")  # type: ignore[call-arg]
        link.send(data)
        with pytest.raises(RuntimeError, match="log"):
            conn.ready()
        core.drop_output()
        assert isinstance(conn.pending, int)
        assert conn.detach()[0] == link.fd


def test_fed_octets_are_not_kept_by_address(twin: Twin) -> None:
    core = make_core(twin, hello, log=BrokenLog())
    conn = make_conn(twin, core)
    with pytest.raises(RuntimeError, match="log"):
        conn.feed(b"bad request %d\r\n\r\n" % os.getpid() + b"x" * 100_000)
    pending = conn.pending
    assert len(conn.detach()[1]) == pending


def test_stop_worker_from_close_leaves_nothing_behind(twin: Twin) -> None:
    class Result(list):  # type: ignore[type-arg]
        def close(self) -> None:
            raise StopWorker(0)

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return Result([b"one"]) if environ["PATH_INFO"] == "/stop" else (b"two",)  # type: ignore[return-value]

    with Link(twin, app) as link:
        link.send(GET + b"GET /stop HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(StopWorker):
            link.conn.ready()
        assert [response.body for response in link.responses()] == [b"two", b"one"]
        other = make_conn(twin, link.core)
        assert serve_on(other, link.core, GET) == AGAIN
        assert len(read_responses(other.data_to_send())) == 1


def test_an_error_in_close_after_a_head_that_was_sent(twin: Twin) -> None:
    """What was sent cannot be taken back, and nothing of earlier answers comes again."""

    class Result:
        def __iter__(self) -> Iterator[bytes]:
            return iter(())

        def close(self) -> None:
            raise ValueError

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/":
            return hello(environ, start_response)
        start_response("200 OK", [("Content-Length", "5")])
        return Result()

    with Link(twin, app) as link:
        assert link.ask(GET * 3 + GET.replace(b"/ ", b"/short ")) == CLOSE
        responses = link.responses()
        assert [(one.body, one.whole) for one in responses] == [(b"hello", True)] * 3 + [
            (b"", False)
        ]


@pytest.mark.parametrize("key", ["RAW_URI", "REQUEST_METHOD", "SERVER_PROTOCOL"])
def test_the_access_log_needs_nothing_of_the_environ(twin: Twin, key: str) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        del environ[key]
        environ["HTTP_USER_AGENT"] = "\ud800"
        return hello(environ, start_response)

    for text in ("%(r)s %(s)s %(a)s", "%(r)s %(s)s %({X}o)s", "%(m)s %(r)s"):
        served = serve(twin, app, GET, log=Recorder(text))
        assert served.code == AGAIN
        assert served.core.drain_log().count(b"\n") == 1


def test_fields_that_change_before_they_are_logged(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        fields: list[Any] = [("X", "y")]
        start_response("200 OK", fields)
        yield b"a"
        fields[:] = [None, ("X", 1)]

    served = serve(twin, app, GET, log=Recorder("%(s)s %({x}o)s"))
    assert (served.code, served.response.body) == (AGAIN, b"a")
    assert served.core.drain_log() == b"200 -\n"


# -- one request at a time ---------------------------------------------------------------------


@pytest.mark.parametrize("step", ["ready", "read", "feed", "reject"])
@pytest.mark.parametrize("own", [False, True])
def test_a_core_serves_one_request_at_a_time(twin: Twin, step: str, own: bool) -> None:
    """What an application drives out of turn fails, and changes nothing."""
    links: list[Link] = []
    failures: list[Exception] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/nested":
            conn = links[0].conn if own else twin.Conn(links[0].core, other.fd, "", "", "http")  # type: ignore[call-arg]
            arguments = {"feed": (GET,), "reject": (503,)}.get(step, ())
            try:
                getattr(conn, step)(*arguments)
            except RuntimeError as error:
                failures.append(error)
            if not own:
                conn.detach()
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    nested = b"GET /nested HTTP/1.1\r\nHost: a\r\n\r\n"
    with Link(twin, app) as link, Link(twin, app) as other:
        links.append(link)
        other.send(GET.replace(b" / ", b" /other ") * 20)
        link.send(GET + nested + GET.replace(b" / ", b" /third "))
        assert link.step() == AGAIN
        assert [str(error) for error in failures] == ["a Core serves one request at a time"]
        assert [one.body for one in link.responses()] == [b"/", b"/nested", b"/third"]
        assert other.receive() == b""
        assert other.step() == AGAIN
        assert len(other.responses()) == 20


@pytest.mark.parametrize("step", ["ready", "read"])
def test_a_wake_up_for_nothing_keeps_what_has_come(twin: Twin, step: str) -> None:
    """The poller may name a connection whose input was taken in the same batch."""
    with Link(twin, hello) as link:
        assert link.ask(GET[:10]) == AGAIN
        assert getattr(link.conn, step)() == AGAIN
        assert link.conn.pending == 10
        assert link.ask(GET[10:]) == AGAIN
        assert len(link.responses()) == 1


def test_closed_by_the_application(twin: Twin) -> None:
    """As a hook after fork does, in the child of an application."""
    links: list[Link] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        links[0].conn.close()
        return hello(environ, start_response)

    with Link(twin, app) as link:
        links.append(link)
        # Sent in two parts, so that the second request waits in the connection's own buffer.
        assert link.ask(GET[:10]) == AGAIN
        link.send(GET[10:] + GET * 50)
        link.conn.ready()
        assert link.conn.pending == 0
        assert link.core.counters()["requests"] == 1


# -- the rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"HEAD /", b"HEAD ", b"\r\nHEAD ", b"\n\nHEAD /a", b"HEAD"])
def test_a_rejected_start_of_head(twin: Twin, data: bytes) -> None:
    core = make_core(twin, hello)
    conn = make_conn(twin, core)
    conn.feed(data)
    if conn.pending:
        conn.reject(408)
    is_head = data.startswith((b"HEAD ", b"\r\nHEAD "))
    assert conn.data_to_send().endswith(b"\r\n\r\n") == is_head


def test_limits_beyond_the_range_of_machine_integers(twin: Twin) -> None:
    huge = 1 << 70
    limits = Limits(huge, huge, huge, huge, huge, huge, huge)
    assert serve(twin, hello, GET, limits=limits).response.body == b"hello"
    data = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n" % (b"9" * 18)
    assert serve(twin, hello, data, limits=limits).conn.received == 0


def test_the_scoreboard_has_the_method_of_the_environ(twin: Twin) -> None:
    slot = memoryview(bytearray(RECORD_SIZE))
    with Link(twin, hello, rules=Rules(casefold_http_method=True), slot=slot) as link:
        assert link.ask(b"get /a HTTP/1.1\r\nHost: a\r\n\r\n") == AGAIN
    assert bytes(slot[REQUEST_OFFSET : REQUEST_OFFSET + 6]) == b"GET /a"
