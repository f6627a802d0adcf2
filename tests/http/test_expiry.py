"""Requests that another thread ends because they take too long."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.http.errors import ClientGone
from monoceros.http.types import AGAIN, CLOSE, UPGRADE, Policy
from tests.http.link import DEADLINE_S, Link
from tests.http.support import GET, Recorder, make_core, read_responses

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

    from monoceros.http.types import Core, Environ, StartResponse, Twin

    Act = Callable[["Staged", Environ, StartResponse], Iterable[bytes]]


class Staged:
    """An application that waits in the midst of its call, as often as it says."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.reached = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.errors: list[BaseException] = []
        self.closed = 0

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/slow":
            start_response("200 OK", [])
            return [b"fast"]
        return self.act(self, environ, start_response)

    def pause(self) -> None:
        self.reached.release()
        assert self.go.acquire(timeout=DEADLINE_S)

    def attempt(self, act: Callable[[], object]) -> object:
        """Do something that may fail once the time is up."""
        try:
            return act()
        except BaseException as error:
            self.errors.append(error)
            raise


SLOW = GET.replace(b"GET / ", b"GET /slow ")


class Late:
    """A link whose request is ended by this thread."""

    def __init__(self, twin: Twin, act: Act, **options: object) -> None:
        self.app = Staged(act)
        self.log = Recorder("%(r)s %(s)s %(B)s")
        self.own_log = Recorder("%(r)s %(s)s %(B)s")
        self.link = Link(twin, self.app, log=self.log, **options)  # type: ignore[arg-type]
        self.core: Core = make_core(twin, self.app, policy=self.link.policy, log=self.own_log)

    def __enter__(self) -> Late:
        self.link.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.app.go.release(100)
        self.link.__exit__(None, None, None)

    def begin(self, data: bytes = SLOW) -> None:
        """Send, and wait until the application is where it waits."""
        self.link.start()
        self.link.send(data)
        self.wait()

    def wait(self) -> None:
        assert self.app.reached.acquire(timeout=DEADLINE_S)

    def expire(self) -> bool | None:
        return self.link.conn.expire(self.core)

    def resume(self) -> None:
        self.app.go.release()

    def end(self) -> int:
        self.resume()
        return self.link.join()


def sleeping(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    app.pause()
    start_response("200 OK", [("Content-Length", "4")])
    return [b"late"]


def test_client_gets_504_before_the_call_returns(twin: Twin) -> None:
    with Late(twin, sleeping) as late:
        late.begin()
        assert late.expire() is True
        (response,) = read_responses(late.link.receive_to_end())
        assert response.status == 504
        assert late.core.drain_log() == b"GET /slow HTTP/1.1 504 0\n"
        assert late.expire() is None  # once only
        assert late.end() == CLOSE
        assert late.link.core.drain_log() == b""
        assert late.log.failures == []


def test_head_gets_no_content(twin: Twin) -> None:
    with Late(twin, sleeping) as late:
        late.begin(SLOW.replace(b"GET", b"HEAD"))
        assert late.expire() is True
        (response,) = read_responses(late.link.receive_to_end(), "HEAD")
        assert (response.status, response.body) == (504, b"")
        late.end()


def test_earlier_answers_of_a_pipeline_come_first(twin: Twin) -> None:
    with Late(twin, sleeping) as late:
        late.begin(GET + SLOW + GET)
        assert late.expire() is True
        responses = read_responses(late.link.receive_to_end())
        assert [response.status for response in responses] == [200, 504]
        assert late.end() == CLOSE
        assert late.link.core.requests == 2  # what came behind is nobody's any more


def after_start(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Length", "4")])
    app.pause()
    app.attempt(lambda: write(b"late"))
    return []


def test_between_start_response_and_the_first_write(twin: Twin) -> None:
    with Late(twin, after_start) as late:
        late.begin()
        assert late.expire() is True
        assert late.end() == CLOSE
        (response,) = read_responses(late.link.receive_to_end())
        assert response.status == 504
        assert [type(error) for error in late.app.errors] == [ClientGone]
        assert late.log.failures == []


class Chunks:
    """An iterable that waits after its first item."""

    def __init__(self, app: Staged, before: int) -> None:
        self.app = app
        self.before = before

    def __iter__(self) -> Iterator[bytes]:
        for number in range(5):
            if number == self.before:
                self.app.pause()
            yield b"%d" % number

    def close(self) -> None:
        self.app.closed += 1


def iterating(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return Chunks(app, 1)


def test_begun_response_is_cut(twin: Twin) -> None:
    with Late(twin, iterating) as late:
        late.begin()
        assert late.expire() is False
        received = late.link.receive_to_end()
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.endswith(b"1\r\n0\r\n")
        assert late.core.drain_log() == b""
        assert late.end() == CLOSE
        assert late.app.closed == 1
        assert late.link.core.drain_log() == b"GET /slow HTTP/1.1 200 1\n"
        assert late.log.failures == []


def test_content_without_another_end_is_reset(twin: Twin) -> None:
    with Late(twin, iterating) as late:
        late.begin(SLOW.replace(b"HTTP/1.1", b"HTTP/1.0"))
        late.link.receive_exactly(len(b"HTTP/1.1 200 OK\r\n"))
        assert late.expire() is False
        with pytest.raises(ConnectionResetError):
            late.link.receive_to_end()
        assert late.end() == CLOSE
        assert late.app.closed == 1


def test_before_the_first_item(twin: Twin) -> None:
    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Chunks(app, 0)

    with Late(twin, act) as late:
        late.begin()
        assert late.expire() is True
        assert late.end() == CLOSE
        (response,) = read_responses(late.link.receive_to_end())
        assert response.status == 504
        assert late.app.closed == 1


def test_reading_content_fails(twin: Twin) -> None:
    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        assert environ["wsgi.input"].read(3) == b"abc"
        app.pause()
        app.attempt(lambda: environ["wsgi.input"].read(3))
        return []

    head = SLOW.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n")
    with Late(twin, act, policy=Policy(request_buffering=False)) as late:
        late.begin(head + b"abc")
        assert late.expire() is True
        late.link.send(b"def")
        assert late.end() == CLOSE
        (error,) = late.app.errors
        assert isinstance(error, OSError)
        assert late.log.failures == []


def test_in_the_midst_of_reading(twin: Twin) -> None:
    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        app.reached.release()
        app.attempt(lambda: environ["wsgi.input"].read(6))
        return []

    head = SLOW.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n")
    with Late(twin, act, policy=Policy(request_buffering=False)) as late:
        late.begin(head)
        assert late.expire() is True
        (response,) = read_responses(late.link.receive_to_end())
        assert response.status == 504
        late.link.half_close()
        assert late.link.join() == CLOSE
        (error,) = late.app.errors
        assert isinstance(error, OSError)


def test_early_hints_do_not_count_as_an_answer(twin: Twin) -> None:
    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a.css>")])
        app.pause()
        app.attempt(lambda: environ["wsgi.early_hints"]([("Link", "</b.css>")]))
        return []

    with Late(twin, act) as late:
        late.begin()
        assert late.expire() is True
        assert late.end() == CLOSE
        received = late.link.receive_to_end()
        assert received.count(b"HTTP/1.1 103 ") == 1
        assert received.count(b"HTTP/1.1 504 ") == 1
        assert [type(error) for error in late.app.errors] == [ClientGone]


def test_taken_socket_is_left_alone(twin: Twin) -> None:
    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        client: socket.socket = environ["gunicorn.socket"]
        client.sendall(b"hello")
        app.pause()
        client.sendall(b" again")
        return []

    with Late(twin, act, policy=Policy(request_timeout=0.001)) as late:
        late.begin()
        assert late.link.conn.deadline is None
        assert late.expire() is None
        assert late.end() == UPGRADE
        assert late.link.receive_to_end() == b"hello again"


def test_socket_cannot_be_taken_any_more(twin: Twin) -> None:
    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        app.pause()
        assert environ["monoceros.client_disconnected"]()
        app.attempt(lambda: environ["gunicorn.socket"].fileno())
        return []

    with Late(twin, act) as late:
        late.begin()
        assert late.expire() is True
        assert late.end() == CLOSE
        assert [type(error) for error in late.app.errors] == [ClientGone]


def test_call_that_is_over_is_left_alone(twin: Twin) -> None:
    with Late(twin, sleeping) as late:
        late.resume()
        assert late.link.ask(SLOW) == AGAIN
        assert late.expire() is None
        assert late.link.conn.deadline is None
        assert [response.status for response in late.link.responses()] == [200]


def test_error_after_the_time_is_not_logged(twin: Twin) -> None:
    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        app.pause()
        raise ValueError

    with Late(twin, act) as late:
        late.begin()
        assert late.expire() is True
        assert late.end() == CLOSE
        assert late.log.failures == []


def test_limits(twin: Twin) -> None:
    """Each request has the setting's, or its own, from its start."""
    seen: list[float | None] = []

    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        conn = late.link.conn
        began = time.monotonic()
        seen.append((conn.deadline or 0) - began)
        for seconds in (5, 0.25, 0):
            environ["monoceros.set_timeout"](seconds)
            seen.append(conn.deadline and conn.deadline - began)
        for wrong in (-1, float("nan"), float("inf"), "x"):
            with pytest.raises(ValueError, match=r"limit|convert"):
                environ["monoceros.set_timeout"](wrong)
        start_response("200 OK", [])
        return []

    with Late(twin, act, policy=Policy(request_timeout=30)) as late:
        for _ in range(2):
            assert late.link.ask(SLOW) == AGAIN
    assert seen[3] is seen[7] is None
    limits = [one for one in seen if one is not None]
    assert limits == pytest.approx([30, 5, 0.25] * 2, abs=0.1)


@pytest.mark.parametrize("write", [b"x" * 10, b"x" * 40_000])
def test_race(twin: Twin, write: bytes) -> None:
    """Whoever is first: one answer, and nothing behind it."""

    def act(app: Staged, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        app.reached.release()
        start_response("200 OK", [("Content-Length", str(3 * len(write)))])
        return (write for _ in range(3))

    statuses = set()
    rounds = 60
    for number in range(1, rounds + 1):
        with Late(twin, act) as late:
            late.begin()
            time.sleep(number * 20e-6)
            while number == rounds and late.link.core.running:
                time.sleep(0.001)
            told = late.expire()
            if told is None:
                late.link.half_close()
            received = late.link.receive_to_end()
            late.link.join()
            assert received.count(b"HTTP/1.1 ") <= 1
            if told:
                statuses.add(504)
                assert received.startswith(b"HTTP/1.1 504 ")
            elif told is None:
                statuses.add(200)
                assert received.endswith(write * 3)
            else:
                assert b"504" not in received
    assert 200 in statuses
