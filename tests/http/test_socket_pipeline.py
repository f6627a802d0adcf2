"""Requests and answers over real sockets: batches, sends, states and the end of a connection."""

from __future__ import annotations

import os
import select
import socket
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.http.types import (
    AGAIN,
    BODY,
    CLOSE,
    HANDOFF,
    HEAD,
    IDLE,
    LINGER,
    LINGERING,
    MORE,
    WANT_WRITE,
    WRITE,
    Policy,
)
from monoceros.scoreboard import Scoreboard, State
from tests.http.apps import Closing, answer, returning, stream
from tests.http.link import Link, open_descriptors
from tests.http.support import GET, read_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.http.types import Environ, StartResponse, Twin


def echo_path(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


def get(path: str, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_one_request(twin: Twin, kind: str) -> None:
    with Link(twin, echo_path, kind) as link:
        assert link.ask(get("/a")) == AGAIN
        (response,) = link.responses()
        assert response.body == b"/a"
        assert link.ask(get("/b", "Connection: close")) == CLOSE
        assert link.receive_to_end().endswith(b"/b")


def test_a_core_that_closes_answers_what_has_come(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        link.core.closing = True
        link.ask(get("/a") + get("/b") + get("/c"))
        answers = link.responses()
        assert [one.body for one in answers] == [b"/a", b"/b", b"/c"]
        assert [one.get("Connection") for one in answers] == [None, None, "close"]


def test_a_batch_is_answered_in_one_send(twin: Twin) -> None:
    with Link(twin, echo_path, "packets") as link:
        assert link.ask(b"".join(get(f"/{number}") for number in range(16))) == AGAIN
        data = link.receive_packet()
        for number in range(16):
            response, data = read_response(data)
            assert response.body == b"/%d" % number
        assert data == b""
        assert link.receive_packet() == b""


def test_a_batch_with_a_refused_request(twin: Twin) -> None:
    with Link(twin, echo_path, "packets") as link:
        assert link.ask(get("/a") + get("/b") + b"GET / HTTP/1.1\r\n\r\n" + get("/c")) == LINGER
        assert [response.status for response in link.responses()] == [200, 200, 400]
        assert link.core.counters()["requests"] == 2


def test_long_batches_are_interrupted(twin: Twin) -> None:
    """The others of a worker get their turn; what is left is served without new input."""
    with Link(twin, echo_path) as link:
        link.send(b"".join(get(f"/{number}") for number in range(200)))
        assert link.step() == MORE
        while link.step() == MORE:
            pass
        assert link.code == AGAIN
        bodies = [response.body for response in link.responses()]
        assert bodies == [b"/%d" % number for number in range(200)]
        assert link.ask(get("/again")) == AGAIN
        assert link.responses()[0].body == b"/again"


def test_a_request_that_comes_in_parts(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        data = get("/a", "X: " + "y" * 100)
        for octet in range(len(data) - 1):
            assert link.ask(data[octet : octet + 1]) == AGAIN
        assert link.receive() == b""
        assert link.ask(data[-1:]) == AGAIN
        assert len(link.responses()) == 1


def test_finished_answers_do_not_wait_for_a_slow_call(twin: Twin) -> None:
    """A call that took its time is answered before the next one begins."""
    seen: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/slow":
            time.sleep(0.01)
        else:
            seen.append(link.receive_packet())
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    with Link(twin, app, "packets") as link:
        assert link.ask(get("/slow") + get("/next")) == AGAIN
        assert seen[0].endswith(b"/slow")
        assert link.receive_packet().endswith(b"/next")


def test_chunks_go_out_when_they_are_yielded(twin: Twin) -> None:
    """The head with the first of them, and not before."""
    seen: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        seen.append(link.receive_packet())
        yield b"one"
        seen.append(link.receive_packet())
        yield b""
        seen.append(link.receive_packet())
        yield b"two"
        seen.append(link.receive_packet())

    with Link(twin, app, "packets") as link:
        assert link.ask(GET) == AGAIN
        assert seen[0] == b""
        assert seen[1].startswith(b"HTTP/1.1 200 OK\r\n")
        assert seen[1].endswith(b"\r\n\r\n3\r\none\r\n")
        assert seen[2:] == [b"", b"3\r\ntwo\r\n"]
        assert link.receive_packet() == b"0\r\n\r\n"


def test_what_is_written_goes_out_at_once(twin: Twin) -> None:
    seen: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "6")])
        write(b"one")
        seen.append(link.receive_packet())
        return [b"two"]

    with Link(twin, app, "packets") as link:
        assert link.ask(GET) == AGAIN
        assert seen[0].endswith(b"\r\n\r\none")
        assert link.receive_packet() == b"two"


def test_early_hints_go_out_at_once(twin: Twin) -> None:
    seen: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        environ["wsgi.early_hints"]([("Link", "</a>")])
        seen.append(link.receive_packet())
        start_response("200 OK", [])
        return []

    with Link(twin, app, "packets") as link:
        assert link.ask(GET) == AGAIN
        assert seen == [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]
        assert link.responses()[0].status == 200


# -- the end of a connection -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_half_close_is_legal(twin: Twin, kind: str) -> None:
    """RFC 9112 9.6: the client has said all, and waits for its answers."""
    with Link(twin, echo_path, kind) as link:
        link.send(get("/a") + get("/b"))
        link.half_close()
        assert link.run() == CLOSE
        data = link.receive_to_end()
        first, data = read_response(data)
        second, data = read_response(data)
        assert (first.body, second.body, data) == (b"/a", b"/b", b"")


def test_half_close_and_a_large_answer(twin: Twin) -> None:
    content = os.urandom(1 << 22)
    with Link(twin, answer(content), buffer=1 << 14) as link:
        link.send(GET)
        link.half_close()
        link.start()
        response, rest = read_response(link.receive_to_end())
        assert response.body == content
        assert rest == b""
        assert link.join() == CLOSE


def test_a_client_that_leaves_between_requests(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        assert link.ask(GET) == AGAIN
        link.client.close()
        assert link.step() == CLOSE
        assert link.log.refusals == []


def test_a_client_that_resets(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        link.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        link.client.close()
        assert link.step() == CLOSE


def test_an_error_can_be_read_by_a_client_that_still_sends(twin: Twin) -> None:
    """A lingering close: closing at once would be a reset, which destroys the answer."""
    with Link(twin, echo_path) as link:
        assert link.ask(b"BAD\r\n\r\n" + b"x" * 100) == LINGER
        for _ in range(3):
            link.send(b"y" * 10_000)
            assert link.step() == LINGER
        response, rest = read_response(link.receive_to_end())
        assert response.status == 400
        assert rest == b""
        link.client.close()
        assert link.step() == CLOSE


def test_nothing_is_served_on_a_lingering_connection(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        assert link.ask(b"BAD\r\n\r\n") == LINGER
        assert link.ask(GET + GET) == LINGER
        assert link.core.counters()["requests"] == 0


def test_rejecting_a_slow_client(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        assert link.ask(b"GET / HT") == AGAIN
        link.code = link.conn.reject(408)
        assert link.code == LINGER
        response, _ = read_response(link.receive_to_end())
        assert response.status == 408
        link.client.close()
        assert link.step() == CLOSE


def test_an_error_in_mid_stream_ends_without_the_last_chunk(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"hello"
        raise ValueError

    with Link(twin, app) as link:
        assert link.ask(GET + GET) == CLOSE
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"hello"
        assert not response.whole


def test_an_error_in_a_response_without_framing_resets(twin: Twin) -> None:
    """To HTTP/1.0 a clean end of the stream would say that the content is whole."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"hello"
        raise ValueError

    with Link(twin, app) as link:
        assert link.ask(b"GET / HTTP/1.0\r\n\r\n") == CLOSE
        with pytest.raises(ConnectionResetError):
            link.receive_to_end()


def test_a_whole_response_without_framing_does_not_reset(twin: Twin) -> None:
    with Link(twin, stream(b"hel", b"lo")) as link:
        assert link.ask(b"GET / HTTP/1.0\r\n\r\n") == CLOSE
        assert link.receive_to_end().endswith(b"\r\n\r\nhello")


def test_a_client_that_leaves_in_the_midst(twin: Twin) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first"
        link.client.close()
        while True:
            yield b"x" * 10_000

    result = Closing(chunks())
    with Link(twin, returning(result)) as link:
        before = link.budget.output.left
        assert link.ask(GET) == CLOSE
        assert result.closed == 1
        assert link.log.failures == []
        assert link.budget.output.left == before


def test_write_tells_the_application_that_the_client_has_gone(twin: Twin) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        link.client.close()
        for _ in range(1000):
            write(b"x" * 10_000)
        raise AssertionError("nobody said anything")

    with Link(twin, app) as link:
        assert link.ask(GET) == CLOSE
        assert link.log.failures == []


def test_closing_twice(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        link.conn.close()
        link.conn.close()
        assert link.conn.fd == -1
        assert link.conn.ready() in (AGAIN, CLOSE)
        assert link.receive_to_end() == b""


def test_detach(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        assert link.ask(b"GET / HT") == AGAIN
        fd, unread = link.conn.detach()
        assert (fd, unread) == (link.fd, b"GET / HT")
        assert link.conn.fd == -1
        link.conn.close()
        os.write(fd, b"still open")
        assert link.client.recv(100) == b"still open"
        os.close(fd)


# -- steps, states, records --------------------------------------------------------------------


def test_single_steps(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        link.send(get("/a") + get("/b") + get("/c")[:-1])
        assert link.conn.read() == HANDOFF
        assert link.conn.pending > 0
        for path in (b"/a", b"/b"):
            request = link.conn.take()
            assert request is not None
            assert request.run(link.core) == AGAIN
            code = link.conn.read()
            assert link.conn.writable() == AGAIN
            assert path
        assert code == AGAIN
        assert link.conn.take() is None


def test_states(twin: Twin) -> None:
    now = time.monotonic() - 1000
    with Link(twin, echo_path, now=now) as link:
        assert (link.conn.state, link.conn.since) == (HEAD, now)
        link.core.tick(now + 1)
        link.ask(b"GET / HT")
        assert (link.conn.state, link.conn.since) == (HEAD, now)
        link.core.tick(now + 2)
        link.ask(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert link.conn.state == IDLE
        assert link.conn.since > now + 900
        link.core.tick(now + 3)
        link.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        assert (link.conn.state, link.conn.since, link.conn.received) == (BODY, now + 3, 3)
        link.core.tick(now + 4)
        link.ask(b"def")
        assert (link.conn.state, link.conn.since, link.conn.received) == (BODY, now + 3, 6)
        link.ask(b"ghi")
        assert link.conn.state == IDLE
        assert link.ask(b"\x00") == LINGER
        assert link.conn.state == LINGERING


def test_a_next_head_has_a_time_of_its_own(twin: Twin) -> None:
    """Else a slow call would use up the time for the head that came behind its request."""

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return []

    now = time.monotonic() - 1000
    with Link(twin, app, now=now) as link:
        assert link.ask(GET + b"GET / HT") == AGAIN
        assert link.conn.state == HEAD
        assert link.conn.since > now + 900


def test_waiting_output_has_a_state(twin: Twin) -> None:
    with Link(twin, answer(b"x" * (1 << 22)), buffer=1 << 14) as link:
        now = link.conn.since
        assert link.ask(GET) == WANT_WRITE
        assert link.conn.state == WRITE
        link.core.tick(now + 100)
        assert len(link.client.recv(1 << 20)) > 0
        assert link.step() == WANT_WRITE
        assert link.conn.since == now + 100
        link.start()
        received = 0
        while received < 1 << 20:
            received += len(link.client.recv(1 << 20))


def test_the_scoreboard_shows_the_request(twin: Twin) -> None:
    board = Scoreboard(1)
    board.claim(0, os.getpid(), 0)
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(board.read(0))
        start_response("200 OK", [])
        return []

    with Link(twin, app, slot=board.slot(0)) as link:
        link.ask(get("/a?b") + get("/" + "c" * 1000))
        first, second = seen
        assert first is not None
        assert second is not None
        assert (first.state, first.peer, first.request) == (State.RUNNING, "127.0.0.1", "GET /a?b")
        assert second.request == "GET /" + "c" * 379
        assert (first.requests, second.requests) == (1, 2)
        assert first.started_ns > 0
        after = board.read(0)
        assert after is not None
        assert (after.state, after.requests) == (State.IDLE, 2)


def test_the_scoreboard_of_a_request_with_content(twin: Twin) -> None:
    board = Scoreboard(1)
    board.claim(0, os.getpid(), 0)
    seen = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        record = board.read(0)
        assert record is not None
        seen.append(record.request)
        start_response("200 OK", [])
        return []

    with Link(twin, app, slot=board.slot(0)) as link:
        head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
        link.ask(head + b"hello")
        link.ask(head + b"he")
        link.ask(b"llo")
        assert seen == ["POST /a", "POST /a"]


def test_octets_are_counted(twin: Twin) -> None:
    with Link(twin, answer(b"x" * (1 << 21)), buffer=1 << 14) as link:
        link.send(GET + get("/b", "Connection: close"))
        link.start()
        data = link.receive_to_end()
        link.join()
        counters = link.core.counters()
        assert counters["sent"] == len(data)
        assert counters["received"] == len(GET) + len(get("/b", "Connection: close"))


def test_access_lines_are_whole(twin: Twin) -> None:
    with Link(twin, echo_path) as link:
        link.ask(get("/a") + get("/b"))
        assert link.core.drain_log() == b"GET /a HTTP/1.1 200 2\nGET /b HTTP/1.1 200 2\n"


def test_no_descriptor_is_left(twin: Twin) -> None:
    before = open_descriptors()
    for data in (b"", GET, b"GET / HT", b"BAD\r\n\r\n", get("/", "Connection: close")):
        link = Link(twin, echo_path)
        if data:
            link.ask(data)
        link.client.close()
        link.conn.close()
    assert open_descriptors() == before


def test_keep_alive_by_policy(twin: Twin) -> None:
    with Link(twin, echo_path, policy=Policy(keepalive=False)) as link:
        assert link.ask(GET + GET) == LINGER
        (response,) = link.responses()
        assert response.get("Connection") == "close"


# -- accepting ---------------------------------------------------------------------------------


def test_accept(twin: Twin) -> None:
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        assert twin.accept(listener) is None
        client.connect(listener.getsockname())
        accepted = twin.accept(listener)
        assert accepted is not None
        fd, address = accepted
        assert address == client.getsockname()
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
        os.close(fd)


def test_accept_over_unix_and_ipv6(twin: Twin, tmp_path: object) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(f"{tmp_path}/s")
        listener.listen()
        client.connect(f"{tmp_path}/s")
        accepted = twin.accept(listener)
        assert accepted is not None
        assert not isinstance(accepted[1], tuple)
        os.close(accepted[0])
    with socket.socket(socket.AF_INET6) as listener, socket.socket(socket.AF_INET6) as client:
        try:
            listener.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        listener.listen()
        client.connect(listener.getsockname())
        accepted = twin.accept(listener)
        assert accepted is not None
        assert accepted[1] == client.getsockname()
        os.close(accepted[0])


def test_accept_of_a_connection_that_was_given_up(twin: Twin) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        client = socket.create_connection(listener.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        poller.poll(1000)
        accepted = twin.accept(listener)
        if accepted is not None:
            os.close(accepted[0])
