"""Log files: whole writes, rotation, and nothing that raises."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from monoceros.log import file as module
from monoceros.log.file import LogFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose ends a test may close itself."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):
            os.close(fd)


def test_a_file_is_created_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for line in (b"one\n", b"two\n"):
        log = LogFile(str(path), 2)
        assert log.is_regular
        assert not os.get_inheritable(log.fd)
        assert log.write(line)
        log.close()
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_path_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LogFile(str(tmp_path / "missing" / "a.log"), 2)


def test_a_pipe_without_a_reader_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(OSError, match="nobody reads this pipe"):
        LogFile(str(path), 2)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        log = LogFile(str(path), 2)
        assert os.get_blocking(log.fd)
        assert log.write(b"x\n")
        assert os.read(reader, 100) == b"x\n"
        log.close()
    finally:
        os.close(reader)


def test_reopen_follows_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = LogFile(str(path), 2)
    number = log.fd
    log.write(b"one\n")
    path.rename(tmp_path / "a.log.1")
    log.write(b"two\n")
    assert log.reopen()
    log.write(b"three\n")
    assert (tmp_path / "a.log.1").read_bytes() == b"one\ntwo\n"
    assert path.read_bytes() == b"three\n"
    assert log.fd == number
    assert not os.get_inheritable(log.fd)
    log.close()


def test_reopen_keeps_the_old_file_where_it_fails(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    log = LogFile(str(directory / "a.log"), 2)
    directory.rename(tmp_path / "moved")
    assert not log.reopen()
    assert log.write(b"still here\n")
    assert (tmp_path / "moved" / "a.log").read_bytes() == b"still here\n"
    log.close()


def test_a_standard_descriptor_is_neither_reopened_nor_closed(pipe: tuple[int, int]) -> None:
    log = LogFile("-", pipe[1])
    assert log.reopen()
    log.close()
    assert log.write(b"x\n")
    assert os.read(pipe[0], 100) == b"x\n"


def test_a_closed_pipe_drops(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    assert not LogFile("-", pipe[1]).write(b"x\n")


def test_a_closed_descriptor_drops(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    log = LogFile("-", pipe[1])
    assert not log.write(b"x\n")
    assert not log.is_regular


def test_a_full_disk_drops_and_the_next_line_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = LogFile(str(path), 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A limit on the file's size fails in the middle of a write, like a full disk (EFBIG); the
    # interpreter ignores SIGXFSZ.
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        assert log.write(b"one\n")
        assert not log.write(b"two and a half\n")
        assert not log.write(b"lost\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.write(b"three\n")
    assert log.write(b"four\n")
    log.close()
    assert path.read_bytes() == b"one\ntwo \nthree\nfour\n"


def test_a_descriptor_made_non_blocking_by_others_is_waited_for(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    os.set_blocking(write_end, False)
    log = LogFile("-", write_end)
    data = b"x" * (1 << 20) + b"\n"
    received = bytearray()

    def drain() -> None:
        while len(received) < len(data):
            received.extend(os.read(read_end, 1 << 16))

    reader = threading.Thread(target=drain)
    reader.start()
    assert log.write(data)
    reader.join()
    assert received == data


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_stalls_costs_patience_once(
    blocking: bool, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = pipe
    os.set_blocking(write_end, blocking)
    log = LogFile("-", write_end)
    waits: list[float] = []
    real = module._wait_for_room

    def counted(fd: int, deadline: float) -> bool:
        waits.append(deadline)
        return real(fd, deadline)

    monkeypatch.setattr(module, "_PATIENCE_S", 0.01)
    monkeypatch.setattr(module, "_wait_for_room", counted)
    assert not log.write(b"x" * (1 << 20))
    first = waits[-1]
    assert not log.write(b"y" * (1 << 20))
    assert waits[-1] - first < 5
    os.read(read_end, 1 << 20)
    assert log.write(b"z\n")
    assert os.read(read_end, 100) == b"\nz\n"


def test_blocking_mode_is_left_alone(pipe: tuple[int, int]) -> None:
    LogFile("-", pipe[1]).write(b"x\n")
    assert not fcntl.fcntl(pipe[1], fcntl.F_GETFL) & os.O_NONBLOCK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_the_file_to_the_workers(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = LogFile(str(path), 2)
    log.give_to(65534, 65533)
    log.close()
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65533)


def test_several_processes_on_a_slow_pipe_tear_no_line(pipe: tuple[int, int]) -> None:
    """Also lines longer than a pipe keeps together."""
    read_end, write_end = pipe
    count, pids = 60, []
    for letter in b"abc":
        pid = os.fork()
        if pid == 0:
            log = LogFile("-", write_end)
            for number in range(count):
                long = bytes((letter,)) * (9000 if number % 3 else 100_000 if number == 30 else 20)
                log.write_lines(b"%s\n%s\n" % (long, bytes((letter,)) * 10))
            os._exit(0)
        pids.append(pid)
    os.close(write_end)
    data = bytearray()
    while part := os.read(read_end, 3000):
        data += part
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0
    lines = data.split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == 3 * count * 2
    assert {len(set(line)) for line in lines} == {1}
    assert {len(line) for line in lines} == {10, 20, 9000, 100_000}


@pytest.mark.parametrize(("path", "fd"), [("/dev/stdout", 1), ("/dev/stderr", 2)])
def test_the_names_of_standard_descriptors_are_not_opened(path: str, fd: int) -> None:
    log = LogFile(path, 2)
    assert log.fd == fd
    assert log.reopen()
    log.close()
    os.fstat(fd)


def test_a_relative_path_is_relative_to_where_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    log = LogFile("a.log", 2)
    monkeypatch.chdir(tmp_path / "other")
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    assert log.reopen()
    log.write_lines(b"here\n")
    log.close()
    assert (tmp_path / "a.log").read_bytes() == b"here\n"


def test_reopen_does_not_wait_for_a_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(str(tmp_path / "fifo"), 2)
    assert log.reopen()
    assert os.get_blocking(log.fd)
    os.close(reader)
    assert not log.reopen()
    log.write_lines(b"lost\n")
    log.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_root_gives_no_file_away_that_somebody_linked_to(tmp_path: Path, link: str) -> None:
    """Workers may write to the directory of their logs; the target is not theirs to have."""
    target, path = tmp_path / "target", tmp_path / "a.log"
    target.touch()
    if link == "hard":
        path.hardlink_to(target)
    else:
        path.symlink_to(target)
        os.lchown(path, 65534, 65533)
    log = LogFile(str(path), 2)
    log.give_to(65534, 65533)
    log.close()
    assert target.stat().st_uid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_a_file_away_that_root_linked_to(tmp_path: Path) -> None:
    (tmp_path / "a.log").symlink_to(tmp_path / "target")
    log = LogFile(str(tmp_path / "a.log"), 2)
    log.give_to(65534, 65533)
    log.close()
    assert (tmp_path / "target").stat().st_uid == 65534


def test_a_lock_that_is_never_released_costs_patience_once(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_end, write_end = pipe
    locked, started = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            # As a process that is stopped in the midst of a line.
            fcntl.lockf(write_end, fcntl.LOCK_EX)
            os.write(started, b"1")
            signal.pause()
        finally:
            os._exit(1)
    try:
        assert os.read(locked, 1)
        log = LogFile("-", write_end)
        pauses: list[float] = []
        monkeypatch.setattr(module, "_PATIENCE_S", 0.01)
        monkeypatch.setattr(module, "sleep", pauses.append)
        log.write_lines(b"one\n")
        assert pauses
        pauses.clear()
        log.write_lines(b"two\n")
        assert not pauses
        assert os.read(read_end, 100) == b"one\ntwo\n"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(locked)
        os.close(started)
