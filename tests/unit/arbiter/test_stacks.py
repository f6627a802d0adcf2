"""Asking real processes for their stacks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros
from monoceros.arbiter import stacks
from monoceros.arbiter.children import Child
from monoceros.arbiter.stacks import StackFile, Stacks
from monoceros.workers.stacks import ALL_THREADS, MAIN_THREAD, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[[str], "Asked"]

PREAMBLE = """\
import collections, itertools, os, signal, sys, threading, time
from monoceros.workers import stacks
signal.pthread_sigmask(signal.SIG_BLOCK, stacks.SIGNALS)
stacks.register(int(sys.argv[1]))
signal.pthread_sigmask(signal.SIG_UNBLOCK, stacks.SIGNALS)
def start_threads(count):
    event = threading.Event()
    for _ in range(count):
        threading.Thread(target=event.wait, daemon=True).start()
def hang():
    print("here", flush=True)
    time.sleep(600)
def hold_the_gil():
    print("here", flush=True)
    collections.deque(itertools.repeat(0), maxlen=0)
"""
DEAF = "signal.pthread_sigmask(signal.SIG_BLOCK, stacks.SIGNALS)\nhang()"


class Asked:
    """A process that can be asked, with its view of the arbiter."""

    def __init__(self, file: StackFile, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), str(file.target)],
            stdout=subprocess.PIPE,
            pass_fds=[file.target],
            env={**os.environ, "PYTHONPATH": str(Path(monoceros.__file__).parents[1])},
        )
        file.let_go_of_target()
        self.child = Child(self.process.pid, 1, 1, 0, born=0.0, stack_file=file)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"here\n"

    def tell(self, *, all_threads: bool = True) -> str:
        """Return what comes of a question."""
        asked = Stacks()
        asked.ask(self.child, time.monotonic(), all_threads=all_threads)
        while True:
            due = asked.next_due()
            assert due is not None
            time.sleep(max(0.0, due - time.monotonic()))
            if reports := asked.collect(time.monotonic()):
                assert asked.next_due() is None
                return reports[0].text


@pytest.fixture(params=["memory", "pipe"])
def file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackFile]:
    if request.param == "pipe":

        def refuse(name: str) -> int:
            raise OSError

        monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    elif not hasattr(os, "memfd_create"):
        pytest.skip("no files in memory")
    made = StackFile()
    yield made
    made.close()


@pytest.fixture
def start(file: StackFile) -> Iterator[Start]:
    started: list[Asked] = []

    def begin(code: str) -> Asked:
        started.append(one := Asked(file, code))
        return one

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()
        assert one.process.stdout is not None
        one.process.stdout.close()


@pytest.mark.parametrize("place", ["hang", "hold_the_gil"])
def test_all_threads(start: Start, place: str) -> None:
    asked = start(f"start_threads(2)\n{place}()")
    text = asked.tell()

    assert text.startswith("Current thread 0x")
    assert f" in {place}\n" in text
    assert text.count("\nThread 0x") == 2
    assert asked.tell().count("Current thread 0x") == 1  # and not that of before, too


def test_descriptors_are_not_for_programs_that_the_application_starts(file: StackFile) -> None:
    assert not os.get_inheritable(file.target)


@pytest.mark.parametrize(
    ("letter", "reason"),
    [
        ("D", "the process waits in the kernel, in uninterruptible sleep"),
        ("t", "the process is stopped by a debugger"),
        ("", "the process does not answer"),
    ],
)
def test_why_there_is_no_stack(
    start: Start, monkeypatch: pytest.MonkeyPatch, letter: str, reason: str
) -> None:
    asked = start(DEAF)
    monkeypatch.setattr(stacks, "PATIENCE_S", 0.1)
    monkeypatch.setattr(stacks, "_state", lambda pid: letter)

    assert asked.tell() == f"no stack: {reason}"


def test_main_thread(start: Start) -> None:
    text = start("start_threads(2)\nhang()").tell(all_threads=False)

    assert text.startswith("Stack (most recent call first):\n")
    assert "Thread" not in text


def test_main_thread_is_there_whatever_the_number(start: Start) -> None:
    text = start("start_threads(120)\nhang()").tell()

    assert text.startswith("Stack (most recent call first):\n")
    assert " in hang\n" in text
    assert text.count("Thread 0x") >= 50


def test_stopped_process_is_called_so_at_once(start: Start) -> None:
    asked = start("hang()")
    os.kill(asked.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, asked.process.pid, os.WSTOPPED | os.WNOWAIT)
    began = time.monotonic()

    assert asked.tell() == "no stack: the process is stopped"
    assert time.monotonic() - began < stacks.PATIENCE_S
    os.kill(asked.process.pid, signal.SIGCONT)
    assert " in hang\n" in asked.tell()


def test_deaf_process_is_not_waited_for_longer_than_a_second(start: Start) -> None:
    asked = start(DEAF)
    began = time.monotonic()

    assert asked.tell() == "no stack: the process does not answer"
    assert time.monotonic() - began >= stacks.PATIENCE_S


def test_dead_process(start: Start) -> None:
    asked = start(DEAF)
    questions = Stacks()
    questions.ask(asked.child, 0.0, all_threads=True)
    asked.process.kill()
    os.waitid(os.P_PID, asked.process.pid, os.WEXITED | os.WNOWAIT)

    assert questions.forget(asked.child) == "no stack: the process is dead"
    assert questions.forget(asked.child) is None
    assert questions.collect(99.0) == []


def test_child_without_a_file_is_not_asked() -> None:
    questions = Stacks()
    questions.ask(Child(os.getpid(), 1, 1, 0, born=0.0), 5.0, all_threads=True)
    (report,) = questions.collect(5.0)

    assert report.text == "no stack: the process does not answer"


def test_forked_processes_are_not_concerned(start: Start) -> None:
    asked = start(
        """
        pid = os.fork()
        if not pid:
            os.kill(os.getpid(), stacks.ALL_THREADS)
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == stacks.ALL_THREADS
        hang()
        """
    )

    assert asked.child.stack_file is not None
    assert asked.child.stack_file.read() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="the signals are others")
def test_signals_are_none_of_the_applications() -> None:
    assert SIGNALS == (MAIN_THREAD, ALL_THREADS)
    assert all(signal.SIGRTMIN < signum < signal.SIGRTMAX for signum in SIGNALS)
