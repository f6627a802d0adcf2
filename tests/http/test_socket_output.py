"""Output that the client does not take at once: the outbox, its caps, files and sendfile(2)."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from monoceros.http.budget import Budget
from monoceros.http.types import AGAIN, CLOSE, LINGER, MORE, WANT_WRITE, Policy
from tests.http.apps import Closing, answer, returning
from tests.http.link import Link, open_descriptors
from tests.http.support import GET, read_response, read_responses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from monoceros.http.types import Environ, Field, StartResponse, Twin, WsgiApp

CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SMALL_BUFFER = 1 << 14


def pattern(size: int) -> bytes:
    """Octets that tell when some are lost, doubled or swapped."""
    return b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]


# -- slow readers ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_large_answer_waits_for_its_reader(twin: Twin, kind: str) -> None:
    """The application is done at once; what is left is sent as the client takes it."""
    content = pattern(3 << 20)
    with Link(twin, answer(content), kind, buffer=SMALL_BUFFER) as link:
        before = link.budget.output.left
        assert link.ask(CLOSING) == WANT_WRITE
        assert before - link.budget.output.left > 1 << 20
        link.start()
        response, rest = read_response(link.receive_to_end())
        assert response.body == content
        assert rest == b""
        assert link.join() == CLOSE
        assert link.budget.output.left == before


def test_many_large_chunks_in_a_list(twin: Twin) -> None:
    chunks = [pattern(size) for size in (1, 100_000, 16_383, 16_384, 0, 300_000, 5)]
    with Link(twin, answer(*chunks), buffer=SMALL_BUFFER) as link:
        link.send(CLOSING)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"".join(chunks)


def test_requests_behind_a_large_answer_wait_for_it(twin: Twin) -> None:
    """No second application call while output waits: it would pile up."""
    content = pattern(2 << 20)
    calls = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        calls.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [content]

    with Link(twin, app, buffer=SMALL_BUFFER) as link:
        assert link.ask(GET + GET + CLOSING) == WANT_WRITE
        assert calls == ["/"]
        link.start()
        responses = read_responses(link.receive_to_end())
        assert [response.body for response in responses] == [content] * 3
        link.join()
        assert MORE in link.codes


def test_an_answer_to_a_client_that_leaves(twin: Twin) -> None:
    with Link(twin, answer(pattern(2 << 20)), buffer=SMALL_BUFFER) as link:
        before = link.budget.output.left
        assert link.ask(GET) == WANT_WRITE
        link.client.close()
        while link.code == WANT_WRITE:
            link.step()
        assert link.code == CLOSE
        assert link.budget.output.left == before


def test_closing_gives_the_room_back(twin: Twin) -> None:
    link = Link(twin, answer(pattern(2 << 20)), buffer=SMALL_BUFFER)
    descriptors = open_descriptors()
    before = link.budget.output.left
    assert link.ask(GET) == WANT_WRITE
    assert link.budget.output.left < before
    link.conn.close()
    assert link.budget.output.left == before
    assert open_descriptors() == descriptors - 1
    link.client.close()


def count_spools(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Keep the folders of the spool files that the outbox makes."""
    folders: list[str | None] = []
    real = tempfile.TemporaryFile

    def temporary_file(**options: Any) -> Any:
        folders.append(options.get("dir"))
        return real(**options)

    monkeypatch.setattr("tempfile.TemporaryFile", temporary_file)
    return folders


def test_more_than_the_memory_goes_to_a_file(
    twin: Twin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = count_spools(monkeypatch)
    chunks = [pattern(100_000)] * 20
    policy = Policy(output_memory=150_000, tmp_upload_dir=str(tmp_path))
    with Link(twin, returning(iter(chunks)), policy=policy, buffer=SMALL_BUFFER) as link:
        before = link.budget.output.left
        assert link.ask(CLOSING) == WANT_WRITE
        assert 0 < before - link.budget.output.left <= 250_000
        assert folders == [str(tmp_path)]
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"".join(chunks)
        link.join()
        assert link.budget.output.left == before


def test_no_room_in_the_budget(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others hold counts: everything goes to a file."""
    folders = count_spools(monkeypatch)
    content = pattern(1 << 20)
    policy = Policy(budget=Budget(output=0))
    with Link(twin, answer(content), policy=policy, buffer=SMALL_BUFFER) as link:
        assert link.ask(CLOSING) == WANT_WRITE
        assert folders != []
        assert link.budget.output.left == 0
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.body == content
        link.join()
        assert link.budget.output.left == 0


def test_small_chunks_take_few_descriptors(twin: Twin) -> None:
    """And a connection that has spooled once answers from memory again."""
    chunks = [b"x" * 100] * 20_000
    policy = Policy(output_memory=1000)
    with Link(twin, returning(iter(chunks)), policy=policy, buffer=SMALL_BUFFER) as link:
        before = open_descriptors()
        assert link.ask(GET + GET) == WANT_WRITE
        assert open_descriptors() - before <= 3
        link.start()
        end = b"Content-Length: 0\r\n\r\n"
        parts = [b""]
        while not b"".join(parts[-2:]).endswith(end):
            parts.append(link.client.recv(1 << 20))
        first, second = read_responses(b"".join(parts))
        assert first.body == b"".join(chunks)
        assert second.body == b""
        assert open_descriptors() == before


def test_a_long_answer_gives_up_what_was_read(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk holds what waits, and not all that ever waited."""
    monkeypatch.setattr("monoceros.http.outbox._SEGMENT", 1 << 16)
    folders = count_spools(monkeypatch)
    chunk = pattern(10_000)
    policy = Policy(output_memory=1000, output_spool=1 << 18)
    descriptors = open_descriptors()
    most = 0
    begun = threading.Event()

    def chunks() -> Iterator[bytes]:
        nonlocal most
        for number in range(400):
            most = max(most, open_descriptors())
            yield chunk
            if number == 20:
                begun.set()

    with Link(twin, returning(chunks()), policy=policy, buffer=SMALL_BUFFER) as link:
        link.send(CLOSING)
        link.start()
        assert begun.wait(10)
        response, _ = read_response(link.receive_to_end())
        assert response.body == chunk * 400
        link.join()
        assert len(folders) >= 2
    assert most - descriptors < 12
    assert open_descriptors() == descriptors


def test_a_disk_that_is_full_loses_nothing(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(**options: object) -> object:
        return open("/dev/full", "w+b", 0)  # noqa: PTH123

    monkeypatch.setattr("tempfile.TemporaryFile", full_disk)
    chunks = [pattern(100_000)] * 10
    policy = Policy(output_memory=1000)
    with Link(twin, returning(iter(chunks)), policy=policy, buffer=SMALL_BUFFER) as link:
        before = link.budget.output.left
        link.send(CLOSING)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"".join(chunks)
        link.join()
        assert link.budget.output.left == before


def test_the_application_waits_above_the_high_water_mark(twin: Twin) -> None:
    """Its iterator is not asked for more than the caps hold until the client has read."""
    policy = Policy(output_memory=50_000, output_spool=50_000)
    yielded = 0
    stuck = threading.Event()

    def chunks() -> Iterator[bytes]:
        nonlocal yielded
        for _ in range(200):
            yielded += 1
            if yielded == 8:
                stuck.set()
            yield b"x" * 10_000

    with Link(twin, returning(chunks()), "unix", policy=policy, buffer=4096) as link:
        link.send(CLOSING)
        link.start()
        assert stuck.wait(10)
        # Nothing was read, so no more than the caps and the socket's own buffer can be out.
        assert yielded < 40
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"x" * 2_000_000
        assert yielded == 200


def test_a_client_that_takes_nothing(twin: Twin) -> None:
    """The application does not wait longer than ``write_timeout``, and is told to stop."""
    policy = Policy(output_memory=10_000, output_spool=10_000, write_timeout=0.05)
    result = Closing(iter(lambda: b"x" * 10_000, b""))
    with Link(twin, returning(result), policy=policy, buffer=SMALL_BUFFER) as link:
        before = link.budget.output.left
        assert link.ask(GET) == CLOSE
        assert result.closed == 1
        assert link.log.failures == []
        assert link.budget.output.left == before


# -- files -------------------------------------------------------------------------------------


def wrapping(file: Any, *fields: Field, size: int = 8192) -> WsgiApp:
    """An application that answers with ``wsgi.file_wrapper``."""

    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", list(fields))
        return environ["wsgi.file_wrapper"](file, size)

    return app


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(pattern(2 << 20))
    return file


def sent_files(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what goes out by sendfile(2)."""
    counts: list[int] = []
    real = os.sendfile

    def sendfile(out: int, file: int, offset: int, count: int) -> int:
        sent = real(out, file, offset, count)
        counts.append(sent)
        return sent

    monkeypatch.setattr("monoceros.http.files.os.sendfile", sendfile)
    return counts


@pytest.mark.parametrize("buffering", [-1, 0])
def test_sendfile(twin: Twin, path: Path, buffering: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = sent_files(monkeypatch)
    descriptors = open_descriptors()
    file = path.open("rb", buffering)
    with Link(twin, wrapping(file), buffer=SMALL_BUFFER) as link:
        link.send(CLOSING)
        link.start()
        response, _ = read_response(link.receive_to_end())
        link.join()
        assert response.get("Content-Length") == str(2 << 20)
        assert response.body == path.read_bytes()
        assert sum(counts) == 2 << 20
    assert file.closed
    assert open_descriptors() == descriptors


def test_sendfile_keeps_the_connection(twin: Twin, path: Path) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with Link(twin, app) as link:
        link.send(GET + GET + CLOSING)
        link.start()
        responses = read_responses(link.receive_to_end())
        assert [response.body for response in responses] == [path.read_bytes()] * 3


def test_sendfile_to_http_1_0(twin: Twin, path: Path) -> None:
    with Link(twin, wrapping(path.open("rb"))) as link:
        link.send(b"GET / HTTP/1.0\r\n\r\n")
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.get("Content-Length") == str(2 << 20)
        assert response.body == path.read_bytes()


def test_a_small_file_and_the_next_answer_share_nothing(twin: Twin, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"hello")
    with Link(twin, wrapping((tmp_path / "small").open("rb"))) as link:
        assert link.ask(GET) == AGAIN
        (response,) = link.responses()
        assert response.body == b"hello"


def test_an_empty_file(twin: Twin, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with Link(twin, wrapping((tmp_path / "empty").open("rb"))) as link:
        assert link.ask(GET) == AGAIN
        assert link.responses()[0].get("Content-Length") == "0"


def test_a_file_from_its_position(twin: Twin, path: Path) -> None:
    file = path.open("rb")
    file.read(5)
    file.seek(2_000_000)
    with Link(twin, wrapping(file)) as link:
        link.send(CLOSING)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.body == path.read_bytes()[2_000_000:]


def test_a_position_behind_the_end(twin: Twin, path: Path) -> None:
    file = path.open("rb")
    file.seek(5 << 20)
    with Link(twin, wrapping(file)) as link:
        assert link.ask(GET) == AGAIN
        assert link.responses()[0].body == b""


def test_a_length_shorter_than_the_file(twin: Twin, path: Path) -> None:
    file = path.open("rb")
    file.seek(8)
    with Link(twin, wrapping(file, ("Content-Length", "16"))) as link:
        assert link.ask(GET) == AGAIN
        assert link.responses()[0].body == b"0000001\n0000002\n"


def test_a_length_longer_than_the_file(twin: Twin, path: Path) -> None:
    with Link(twin, wrapping(path.open("rb"), ("Content-Length", str(3 << 20)))) as link:
        link.send(GET)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert not response.whole
        assert link.join() == CLOSE


def test_head_of_a_file(twin: Twin, path: Path) -> None:
    descriptors = open_descriptors()
    with Link(twin, wrapping(path.open("rb"))) as link:
        assert link.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n") == AGAIN
        data = link.receive()
        assert data.startswith(b"HTTP/1.1 200")
        assert data.endswith(b"\r\n\r\n")
    assert open_descriptors() == descriptors


@pytest.mark.parametrize("sendfile", [True, False])
def test_files_that_sendfile_cannot_send(
    twin: Twin, tmp_path: Path, sendfile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``read`` gives is what counts; a descriptor may hold something else."""
    counts = sent_files(monkeypatch)
    content = pattern(50_000)
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(content))
    reading, writing = os.pipe()
    threading.Thread(target=_fill, args=(writing, content)).start()
    files: list[Any] = [
        io.BytesIO(content),
        gzip.GzipFile(packed),
        io.BufferedReader(gzip.GzipFile(packed)),
        os.fdopen(reading, "rb"),
    ]
    for file in files:
        with Link(twin, wrapping(file), policy=Policy(sendfile=sendfile)) as link:
            link.send(CLOSING)
            link.start()
            response, _ = read_response(link.receive_to_end())
            assert response.body == content
        assert file.closed
    assert counts == []


def _fill(fd: int, content: bytes) -> None:
    with os.fdopen(fd, "wb") as file:
        file.write(content)


def test_a_text_file_is_an_error(twin: Twin, path: Path) -> None:
    with Link(twin, wrapping(path.open())) as link:
        assert link.ask(GET) == LINGER
        assert link.responses()[0].status == 500


def test_no_sendfile_by_policy(twin: Twin, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = sent_files(monkeypatch)
    with Link(twin, wrapping(path.open("rb")), policy=Policy(sendfile=False)) as link:
        link.send(CLOSING)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.get("Transfer-Encoding") == "chunked"
        assert response.body == path.read_bytes()
        assert counts == []


def test_a_temporary_file(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = sent_files(monkeypatch)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"hello")
        file.flush()
        file.seek(1)
        with Link(twin, wrapping(file)) as link:
            assert link.ask(GET) == AGAIN
            assert link.responses()[0].body == b"ello"
    assert counts == [4]


def test_a_file_that_becomes_shorter(twin: Twin, path: Path) -> None:
    """The client can tell, and the descriptor is not kept."""
    descriptors = open_descriptors()
    with Link(twin, wrapping(path.open("rb")), buffer=SMALL_BUFFER) as link:
        assert link.ask(GET) == WANT_WRITE
        os.truncate(path, 100_000)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert not response.whole
        assert link.join() == CLOSE
    assert open_descriptors() == descriptors


def test_a_wrapper_behind_write_is_read(twin: Twin, path: Path) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])(b"first")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    with Link(twin, app) as link:
        link.send(CLOSING)
        link.start()
        response, _ = read_response(link.receive_to_end())
        assert response.body == b"first" + path.read_bytes()


def test_a_slow_reader_of_a_file_that_leaves(twin: Twin, path: Path) -> None:
    descriptors = open_descriptors()
    with Link(twin, wrapping(path.open("rb")), buffer=SMALL_BUFFER) as link:
        assert link.ask(GET) == WANT_WRITE
        link.client.close()
        while link.code == WANT_WRITE:
            link.step()
        assert link.code == CLOSE
    assert open_descriptors() == descriptors
