"""Every octet comes, once and in order, however fast each side is."""

from __future__ import annotations

import contextlib
import hashlib
import io
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from random import Random
from typing import TYPE_CHECKING, cast

import pytest

from tests.e2e.apps.awaits import varied
from tests.e2e.asgi import running, start
from tests.e2e.clients import TIMEOUT_S, at_end, head, read_answer, read_to_end
from tests.e2e.conftest import IMPLS, require
from tests.e2e.processes import needs_proc
from tests.process.conftest import skip_without
from tests.process.descriptors import descriptors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Serve
    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

_CLIENTS = 12
_MIRRORED = 8 << 20


@pytest.fixture(scope="module", params=product(IMPLS, ("asyncio", "uvloop")), ids="-".join)
def srv(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server on each twin in each kind of loop."""
    impl, loop = request.param
    require(impl)
    if loop == "uvloop":
        skip_without("uvloop")
    with running(tmp_path_factory.mktemp("srv"), impl, "--asgi-loop", loop) as found:
        yield found


@contextlib.contextmanager
def narrow(srv: Server) -> Iterator[socket.socket]:
    """Connect with little room for what comes, so that the server has to wait again and again."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(TIMEOUT_S)
        client.connect(srv.address)
        yield client


class Read:
    """What has been read of a connection, in the place of its socket."""

    def __init__(self, client: socket.socket, seed: int) -> None:
        """Read to the end, in pieces of all sizes."""
        random = Random(seed)
        self._file = _Kept()
        while part := client.recv(1 << random.randrange(18)):
            self._file.write(part)
        self._file.seek(0)

    def makefile(self, mode: str) -> _Kept:
        """Give the same file to each response, which goes on where the last one has ended."""
        return self._file

    def contents(self) -> Iterator[bytes]:
        """Return the contents of all responses."""
        while not self._file.is_over():
            yield read_answer(cast("socket.socket", self)).body


class _Kept(io.BytesIO):
    def close(self) -> None:
        """Stay: the next response is in here too."""

    def is_over(self) -> bool:
        return self.tell() == len(self.getbuffer())


def ask_for(client: socket.socket, seeds: range, *fields: str) -> None:
    """Send requests in one go, so that none comes when the end is said; with fields in the last."""
    *others, last = seeds
    parts = [head("GET", f"/various/{seed}") for seed in others]
    client.sendall(b"".join([*parts, head("GET", f"/various/{last}", *fields)]))


def wanted(seeds: range) -> list[bytes]:
    """Return what is to be answered."""
    return [b"".join(varied(str(seed))) for seed in seeds]


def test_responses_to_many_slow_readers(srv: Server) -> None:
    """All at the same time; what is closed after them has come whole."""

    def read(number: int) -> bool:
        seeds = range(3 * number, 3 * number + 3)
        with narrow(srv) as client:
            ask_for(client, seeds, "Connection: close")
            return list(Read(client, number).contents()) == wanted(seeds)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        assert all(pool.map(read, range(_CLIENTS)))


def test_a_client_that_ends_its_half_gets_all_responses(srv: Server) -> None:
    with narrow(srv) as client:
        ask_for(client, range(3))
        client.shutdown(socket.SHUT_WR)
        assert list(Read(client, 0).contents()) == wanted(range(3))


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_both_directions_at_the_same_time(srv: Server, framing: str) -> None:
    content = Random(4).randbytes(_MIRRORED)
    with srv.connect() as client:
        sender = threading.Thread(target=send, args=(client, content, framing))
        sender.start()
        try:
            found = hashlib.sha256(read_answer(client).body).digest()
        finally:
            sender.join()
        assert found == hashlib.sha256(content).digest()


def send(client: socket.socket, content: bytes, framing: str) -> None:
    """Send a request with content, in chunks of all sizes where it is chunked."""
    if framing == "sized":
        client.sendall(head("POST", "/mirror", f"Content-Length: {len(content)}") + content)
        return
    client.sendall(head("POST", "/mirror", "Transfer-Encoding: chunked"))
    random = Random(5)
    at = 0
    while at < len(content):
        chunk = content[at : at + (1 << random.randrange(8, 18))]
        client.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        at += len(chunk)
    client.sendall(b"0\r\n\r\n")


def test_a_child_of_the_application_keeps_no_connection_open(srv: Server) -> None:
    """It has the descriptor too: only a shutdown tells the client of the end."""
    with srv.connect() as client:
        client.settimeout(2)
        client.sendall(head("GET", "/fork/3", "Connection: close"))
        assert read_answer(client).body == b"forked"
        assert at_end(client)


def test_a_response_without_an_end_that_fails_is_reset(srv: Server) -> None:
    """Before HTTP/1.1 the end of the connection would be taken for that of the content."""
    with srv.connect() as client:
        client.sendall(b"GET /wrong/late HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_to_end(client)


@needs_proc
def test_a_response_that_is_not_taken_is_cut_by_a_reset(serve: Serve) -> None:
    srv = start(serve, "--write-timeout", "1")
    (worker,) = srv.workers()
    before = len(descriptors(worker))
    with narrow(srv) as client:
        client.sendall(b"GET /stream/100000000 HTTP/1.0\r\n\r\n")
        srv.wait_for("GET /stream")
        srv.wait_until(lambda: len(descriptors(worker)) == before, "the end of the connection")
        with pytest.raises(ConnectionResetError):
            read_to_end(client)
