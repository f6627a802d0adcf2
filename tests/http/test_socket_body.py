"""Content that the application reads from the socket: too long to keep, or not to be waited for."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.http.budget import Budget
from monoceros.http.errors import BodyError
from monoceros.http.types import AGAIN, CLOSE, LINGER, WANT_WRITE, Limits, Policy
from tests.http.apps import answer
from tests.http.link import Link, open_descriptors
from tests.http.support import GET, read_response, read_responses, room_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monoceros.http.types import Environ, StartResponse, Twin, WsgiApp

# Small enough that a few kilobytes are "too long to be kept".
LIMITS = Limits(body_memory=1000, body_spool=5000)


def unbuffered() -> Policy:
    return Policy(request_buffering=False, body_timeout=10)


def head(length: int | None, *fields: str, path: str = "/") -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    lines = "".join(f"{field}\r\n" for field in (*fields, framing))
    return f"POST {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def reading(
    read: Callable[[Environ], bytes] = lambda environ: environ["wsgi.input"].read(),
) -> tuple[WsgiApp, list[object]]:
    """An application that answers with what it read; keeps what it read, or the error."""
    seen: list[object] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            content = read(environ)
        except BaseException as error:
            seen.append(error)
            raise
        seen.append(content)
        start_response("200 OK", [])
        return [content]

    return app, seen


# -- request_buffering = False -----------------------------------------------------------------


def test_the_application_starts_at_the_head(twin: Twin) -> None:
    """It reads while the client still sends."""
    first: list[bytes] = []

    def read(environ: Environ) -> bytes:
        body = environ["wsgi.input"]
        first.append(body.readline())
        link.send(b"two\n")
        return first[0] + bytes(body.read())

    app, _ = reading(read)
    with Link(twin, app, policy=unbuffered()) as link:
        assert link.ask(head(8) + b"one\n") == AGAIN
        assert first == [b"one\n"]
        assert link.responses()[0].body == b"one\ntwo\n"


def test_chunks_as_they_come(twin: Twin) -> None:
    def read(environ: Environ) -> bytes:
        body = environ["wsgi.input"]
        assert "CONTENT_LENGTH" not in environ
        first = body.read1(100)
        link.send(chunked(b" world"))
        return bytes(first + body.read())

    app, _ = reading(read)
    with Link(twin, app, policy=unbuffered()) as link:
        assert link.ask(head(None) + b"5\r\nhello\r\n") == AGAIN
        assert link.responses()[0].body == b"hello world"


def test_the_next_request_is_found(twin: Twin) -> None:
    for framing, content in ((5, b"hello"), (None, chunked(b"hel", b"lo"))):
        app, seen = reading()
        with Link(twin, app, policy=unbuffered()) as link:
            data = head(framing) + content
            link.send(data[:-2])
            link.start()
            link.send(data[-2:] + head(3, "Connection: close") + b"two")
            responses = read_responses(link.receive_to_end())
            assert [response.body for response in responses] == [b"hello", b"two"]
            assert link.join() == CLOSE
            assert seen == [b"hello", b"two"]


def test_content_that_came_with_the_head_is_no_stream(twin: Twin) -> None:
    app, _ = reading()
    with Link(twin, app, policy=unbuffered()) as link:
        assert link.ask(head(5) + b"hello" + head(None) + chunked(b"two")) == AGAIN
        assert [response.body for response in link.responses()] == [b"hello", b"two"]


def test_readers_of_a_stream(twin: Twin) -> None:
    lines = [b"%d\n" % number for number in range(5000)]

    def read(environ: Environ) -> bytes:
        body = environ["wsgi.input"]
        result = [body.read(0), body.read(1), body.readline(), body.readline(1)]
        result += body.readlines(100)
        result += list(body)
        result += [body.read(), body.read(10), body.readline(), *body.readlines()]
        return b"".join(result)

    for pieces in (1, 1000):
        app, _ = reading(read)
        content = b"".join(lines)
        size = -(-len(content) // pieces)
        parts = [content[start : start + size] for start in range(0, len(content), size)]
        for data in (head(len(content)) + content, head(None) + chunked(*parts)):
            with Link(twin, app, policy=unbuffered()) as link:
                link.send(data[:100])
                link.start()
                link.send(data[100:])
                link.half_close()
                response, _ = read_response(link.receive_to_end())
                assert response.body == content


def test_many_small_chunks_in_linear_time(twin: Twin) -> None:
    count = 300_000
    app, _ = reading(lambda environ: b"%d" % len(environ["wsgi.input"].read()))
    with Link(twin, app, policy=unbuffered()) as link:
        started = time.perf_counter()
        link.send(head(None, "Connection: close"))
        link.start()
        link.send(chunked(*[b"x"] * count))
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"%d" % count
        assert time.perf_counter() - started < 10


# -- content that is left unread ---------------------------------------------------------------


def test_unread_content_ends_the_connection(twin: Twin) -> None:
    """What is left of it could be taken for a request."""
    with Link(twin, answer(b"no", status="401 No"), policy=unbuffered()) as link:
        assert link.ask(head(100) + GET) == LINGER
        (response,) = link.responses()
        assert response.status == 401
        assert response.get("Connection") == "close"


def test_content_read_in_part_ends_the_connection(twin: Twin) -> None:
    app, _ = reading(lambda environ: environ["wsgi.input"].read(2))
    with Link(twin, app, policy=unbuffered()) as link:
        assert link.ask(head(100) + b"hello") == LINGER
        (response,) = link.responses()
        assert response.body == b"he"
        assert response.get("Connection") == "close"


def test_a_long_upload_that_is_refused_unread(twin: Twin) -> None:
    """Over at once, whatever its length says, and no more kept than the caps."""
    budget = Budget()
    before = budget.memory.left + budget.spool.left
    held: list[int] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        held.append(before - budget.memory.left - budget.spool.left)
        start_response("401 Unauthorized", [])
        return [b"no"]

    def send(client: socket.socket) -> None:
        try:
            client.sendall(head(2 << 30))
            while True:
                client.sendall(b"x" * 65_536)
        except OSError:
            pass  # a reset tells the client to stop, once the server has closed

    with Link(twin, app, limits=LIMITS, policy=Policy(budget=budget)) as link:
        sender = threading.Thread(target=send, args=(link.client,))
        sender.start()
        while link.step() == AGAIN:
            pass
        assert link.code == LINGER
        response, _ = read_response(link.client.recv(1 << 16))
        assert response.status == 401
        assert link.core.counters()["received"] < 1 << 20
        link.conn.close()
        sender.join(10)
        assert not sender.is_alive()
    assert held[0] <= LIMITS.body_spool + (1 << 16)
    assert budget.memory.left + budget.spool.left == before


# -- longer than what is kept ------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_longer_than_the_spool(twin: Twin, framing: str) -> None:
    """The application starts once the caps are reached, and reads the rest from the socket."""
    content = b"".join(b"%07d\n" % number for number in range(100_000))
    parts = [content[start : start + 9999] for start in range(0, len(content), 9999)]
    data = head(len(content)) + content if framing == "length" else head(None) + chunked(*parts)
    data += head(3, "Connection: close") + b"two"
    app, seen = reading()
    with Link(twin, app, limits=LIMITS) as link:
        before = (link.budget.memory.left, link.budget.spool.left)
        sender = threading.Thread(target=link.send, args=(data,))
        link.start()
        sender.start()
        responses = read_responses(link.receive_to_end())
        sender.join(10)
        link.join()
        assert [response.body for response in responses] == [content, b"two"]
        assert seen == [content, b"two"]
        assert (link.budget.memory.left, link.budget.spool.left) == before


def test_a_short_budget_streams_early(twin: Twin) -> None:
    """What all bodies of a worker may hold is bounded, not only what each may."""
    policy = Policy(budget=Budget(memory=500, spool=70_000))
    content = b"x" * 300_000
    app, _ = reading()
    with Link(twin, app, policy=policy) as link:
        data = head(len(content), "Connection: close") + content
        sender = threading.Thread(target=link.send, args=(data,))
        sender.start()
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.body == content
        sender.join(10)
        link.join()
        assert (link.budget.memory.left, link.budget.spool.left) == (500, 70_000)


def test_a_disk_that_is_nearly_full_streams_early(
    twin: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monoceros.http.body.is_disk_short", lambda fd: True)
    app, _ = reading()
    limits = Limits(body_memory=1000)
    with Link(twin, app, limits=limits) as link:
        link.send(head(3000) + b"x" * 2000)
        link.start()
        link.send(b"x" * 1000)
        link.half_close()
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"x" * 3000


# -- content that goes wrong while it is read --------------------------------------------------


def streamed(twin: Twin, app: WsgiApp, **options: object) -> Link:
    return Link(twin, app, policy=unbuffered(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("framing", [10, None])
def test_content_cut_short(twin: Twin, framing: int | None) -> None:
    """An error that the application sees, and a 400 where it does not care."""
    app, seen = reading()
    with streamed(twin, app) as link:
        link.send(head(framing) + (b"5\r\nhello\r\n" if framing is None else b"hello"))
        link.half_close()
        assert link.step() == LINGER
        (response,) = link.responses()
        assert response.status == 400
    (error,) = seen
    assert isinstance(error, BodyError)
    assert isinstance(error, OSError)


def test_an_application_that_expects_short_content(twin: Twin) -> None:
    """Its answer goes out; the connection ends."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError:
            start_response("422 Short", [])
        return [b"short"]

    with streamed(twin, app) as link:
        link.send(head(10) + b"hello")
        link.half_close()
        assert link.step() == LINGER
        (response,) = link.responses()
        assert (response.status, response.body) == (422, b"short")
        assert response.get("Connection") == "close"
        assert link.log.failures == []


def test_the_error_stays(twin: Twin) -> None:
    """A second read does not look like the end of the content."""
    errors = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for _ in range(3):
            try:
                environ["wsgi.input"].read(100)
            except OSError as error:
                errors.append(error)
        start_response("200 OK", [])
        return []

    with streamed(twin, app) as link:
        link.send(head(10) + b"hello")
        link.half_close()
        assert link.step() == LINGER
    assert len(errors) >= 2


def test_faulty_chunks(twin: Twin) -> None:
    def read(environ: Environ) -> bytes:
        link.send(b"XX")
        return bytes(environ["wsgi.input"].read())

    app, seen = reading(read)
    with streamed(twin, app) as link:
        assert link.ask(head(None) + b"5\r\nhello") == LINGER
        assert link.responses()[0].status == 400
    assert isinstance(seen[0], BodyError)
    assert str(seen[0]) == "chunk longer than its size"


def test_content_above_the_limit(twin: Twin) -> None:
    """Of chunked content that is known only while it is read."""

    def read(environ: Environ) -> bytes:
        link.send(b"29\r\n")
        return bytes(environ["wsgi.input"].read())

    app, seen = reading(read)
    with streamed(twin, app, limits=Limits(body=100)) as link:
        assert link.ask(head(None) + b"3c\r\n" + b"x" * 60 + b"\r\n") == LINGER
        assert link.responses()[0].status == 413
    assert isinstance(seen[0], BodyError)


def test_content_that_stalls(twin: Twin) -> None:
    app, seen = reading()
    policy = Policy(request_buffering=False, body_timeout=0.05)
    with Link(twin, app, policy=policy) as link:
        assert link.ask(head(10) + b"hello") == LINGER
        assert link.responses()[0].status == 408
    assert isinstance(seen[0], BodyError)


def trickle(link: Link, octets: int) -> threading.Thread:
    """Send an octet every 10 ms, as long as somebody takes them."""

    def send() -> None:
        done = threading.Event()
        with contextlib.suppress(OSError):
            for _ in range(octets):
                link.send(b"x")
                done.wait(0.01)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("before", [0, 100_000])
def test_content_that_comes_slowly(twin: Twin, before: int) -> None:
    """Each octet comes in time, and all together not; what came fast before is no excuse."""
    app, seen = reading()
    policy = Policy(request_buffering=False, body_timeout=0.2, body_min_rate=1000)
    with Link(twin, app, policy=policy) as link:
        link.send(head(before + 2000))
        link.start()
        link.send(b"x" * before)
        sender = trickle(link, 2000)
        assert link.client.recv(12) == b"HTTP/1.1 408"
        link.client.close()
        sender.join(10)
    (error,) = seen
    assert isinstance(error, BodyError)
    assert str(error) == "request content came slower than body_min_rate"


def test_content_that_comes_as_slowly_as_it_may(twin: Twin) -> None:
    app, _ = reading()
    policy = Policy(request_buffering=False, body_timeout=0.2, body_min_rate=10)
    with Link(twin, app, policy=policy) as link:
        link.send(head(50))
        link.start()
        trickle(link, 50).join(10)
        assert link.client.recv(12) == b"HTTP/1.1 200"


def test_a_slow_application_is_no_slow_client(twin: Twin) -> None:
    """What the client had sent by the time it was asked for came in time."""

    def read(environ: Environ) -> bytes:
        content = bytes(environ["wsgi.input"].read(50_000))
        pause.wait(0.3)
        return content + bytes(environ["wsgi.input"].read())

    pause = threading.Event()
    app, _ = reading(read)
    policy = Policy(request_buffering=False, body_timeout=0.1, body_min_rate=1 << 20)
    with Link(twin, app, policy=policy) as link:
        link.send(head(100_000, "Connection: close") + b"x" * 100_000)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert (response.status, len(response.body)) == (200, 100_000)


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("size", [-1, 1 << 20, 100_000, 10_000])
def test_reads_of_all_sizes(twin: Twin, framing: str, size: int) -> None:
    """Whether octets go through the server's buffer or straight into the application's."""
    content = b"".join(b"%07d\n" % number for number in range(100_000))
    cuts = [0, 3, 20_000, 20_010, 70_000, 300_000, 300_001, 700_000, len(content)]
    parts = [content[start:end] for start, end in itertools.pairwise(cuts)]
    data = head(len(content)) + content if framing == "length" else head(None) + chunked(*parts)
    data += head(3, "Connection: close") + b"two"

    def read(environ: Environ) -> bytes:
        pieces = iter(lambda: environ["wsgi.input"].read(size), b"")
        return b"".join(pieces)

    app, seen = reading(read)
    with streamed(twin, app) as link:
        sender = threading.Thread(target=link.send, args=(data,))
        link.start()
        sender.start()
        responses = read_responses(link.receive_to_end())
        sender.join(10)
        assert [response.body for response in responses] == [content, b"two"]
        assert seen == [content, b"two"]
        assert link.core.counters()["received"] > 0


def test_a_client_that_resets(twin: Twin) -> None:
    def read(environ: Environ) -> bytes:
        link.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        link.client.close()
        return bytes(environ["wsgi.input"].read())

    app, seen = reading(read)
    with streamed(twin, app) as link:
        link.ask(head(10) + b"hello")
        assert link.code in (CLOSE, LINGER)
    assert isinstance(seen[0], BodyError)


def test_an_error_behind_the_start_of_the_answer_cuts(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        yield environ["wsgi.input"].read()

    with streamed(twin, app) as link:
        link.send(head(10) + b"hello")
        link.half_close()
        assert link.step() == CLOSE
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"begun"
        assert not response.whole


# -- 100 Continue ------------------------------------------------------------------------------


def test_100_continue_at_the_first_read(twin: Twin) -> None:
    seen: list[bytes] = []

    def read(environ: Environ) -> bytes:
        seen.append(link.receive_packet())
        body = environ["wsgi.input"]
        reader = threading.Thread(target=_answer_continue, args=(link, seen))
        reader.start()
        content = bytes(body.read())
        reader.join(10)
        return content

    app, _ = reading(read)
    with Link(twin, app, "packets", policy=unbuffered()) as link:
        assert link.ask(head(5, "Expect: 100-continue")) == AGAIN
        assert seen == [b"", b"HTTP/1.1 100 Continue\r\n\r\n"]
        assert link.responses()[0].body == b"hello"


def _answer_continue(link: Link, seen: list[bytes]) -> None:
    seen.append(link.client.recv(100))
    link.send(b"hel")
    link.send(b"lo")


def test_no_100_continue_where_nothing_is_read(twin: Twin) -> None:
    """RFC 9110 10.1.1: the final status instead, and the client keeps its content."""
    with Link(twin, answer(b"no", status="403 No"), policy=unbuffered()) as link:
        assert link.ask(head(5, "Expect: 100-continue")) == LINGER
        (response,) = link.responses()
        assert response.status == 403
        assert response.get("Connection") == "close"


def test_100_continue_before_a_buffered_body(twin: Twin) -> None:
    app, seen = reading()
    with Link(twin, app) as link:
        assert link.ask(head(5, "Expect: 100-continue")) == AGAIN
        assert link.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert seen == []
        assert link.ask(b"hello") == AGAIN
        assert link.responses()[0].body == b"hello"


def test_100_continue_behind_an_answer(twin: Twin) -> None:
    """In the order of the requests."""
    app, _ = reading()
    with Link(twin, app) as link:
        assert link.ask(GET + head(5, "Expect: 100-continue")) == AGAIN
        assert [response.status for response in link.responses()] == [200, 100]
        assert link.ask(b"hello") == AGAIN


# -- all together ------------------------------------------------------------------------------


def test_an_answer_while_content_still_comes(twin: Twin) -> None:
    """Both directions at once."""
    count = 200

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(count):
            yield environ["wsgi.input"].readline()

    lines = [b"%d " % number + b"x" * 5000 + b"\n" for number in range(count)]
    content = b"".join(lines)
    with Link(twin, app, policy=unbuffered(), buffer=1 << 14) as link:
        sender = threading.Thread(target=link.send, args=(head(len(content)) + content,))
        sender.start()
        link.start()
        response, _ = read_response(link.receive_to_end())
        sender.join(10)
        assert response.body == content


def test_no_descriptor_and_no_room_is_lost(twin: Twin) -> None:
    descriptors = open_descriptors()
    for limits in (Limits(), LIMITS):
        for policy in (Policy(), unbuffered()):
            policy.body_timeout = 0.01
            for data in (
                head(100),
                head(100) + b"x" * 50,
                head(10_000) + b"x" * 3000,
                head(10_000) + b"x" * 8000,
                head(None) + b"5\r\nhello",
                head(None) + b"2000\r\n" + b"x" * 8000,
                head(5) + b"hello",
            ):
                app, _ = reading()
                link = Link(twin, app, limits=limits, policy=policy)
                before = room_left(link.budget)
                assert link.ask(data) != WANT_WRITE
                link.client.close()
                link.conn.close()
                assert room_left(link.budget) == before
    assert open_descriptors() == descriptors
