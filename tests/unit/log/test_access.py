"""The access log's sink: whole lines, also where several processes share a pipe."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from monoceros.log import file
from monoceros.log.access import AccessSink
from monoceros.log.file import PIECE, split_lines

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("lines", "pieces"),
    [
        (b"", []),
        (b"a\n", [b"a\n"]),
        (b"a\nbb\nccc\n", [b"a\nbb\n", b"ccc\n"]),
        (b"aaaa\nb\n", [b"aaaa\n", b"b\n"]),
        (b"aaaaaaaaaa\nb\n", [b"aaaaaaaaaa\n", b"b\n"]),
        (b"a\nbbbbbbbbbb\nc\n", [b"a\n", b"bbbbbbbbbb\n", b"c\n"]),
        (b"aaaaaaaaaa", [b"aaaaaaaaaa"]),
    ],
)
def test_pieces(lines: bytes, pieces: list[bytes]) -> None:
    assert [bytes(piece) for piece in split_lines(lines, 5)] == pieces


def test_pieces_are_as_large_as_allowed() -> None:
    lines = b"".join(b"%063d\n" % number for number in range(1000))
    pieces = [bytes(piece) for piece in split_lines(lines, PIECE)]
    assert b"".join(pieces) == lines
    assert {len(piece) for piece in pieces[:-1]} == {4096}
    assert all(piece.endswith(b"\n") for piece in pieces)


def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sizes: list[int] = []
    real = os.write

    def counted(fd: int, data: memoryview) -> int:
        sizes.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(file, "write", counted)
    return sizes


def test_a_regular_file_takes_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = AccessSink(str(tmp_path / "a.log"))
    sizes = writes(monkeypatch)
    sink.write(b"line\n" * 10_000)
    sink.close()
    assert sizes == [50_000]
    assert (tmp_path / "a.log").read_bytes() == b"line\n" * 10_000


def test_a_pipe_takes_small_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    received: list[bytes] = []
    # The sink does not wait for a reader.
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    os.set_blocking(stream.fileno(), True)
    sink = AccessSink(str(path))
    reader = threading.Thread(target=lambda: received.append(stream.read()))
    reader.start()
    sizes = writes(monkeypatch)
    sink.write(b"line\n" * 10_000)
    sink.close()
    reader.join()
    stream.close()
    assert received == [b"line\n" * 10_000]
    assert max(sizes) <= 4096


def test_the_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    sink = AccessSink("-")
    sink.write(b"a\nb\n")
    assert sink.reopen()
    sink.write(b"c\n")
    assert capfd.readouterr().out == "a\nb\nc\n"


def test_reopen(tmp_path: Path) -> None:
    sink = AccessSink(str(tmp_path / "a.log"))
    (tmp_path / "a.log").rename(tmp_path / "b.log")
    assert sink.reopen()
    assert sink.path == str(tmp_path / "a.log")
    sink.write(b"a\n")
    sink.close()
    assert (tmp_path / "a.log").read_bytes() == b"a\n"
    assert (tmp_path / "b.log").read_bytes() == b""
