"""Signals, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

HEAD = """
import os, select, signal
from monoceros.arbiter.signals import Signals
signals = Signals()
signals.install()
me = os.getpid()
def is_readable(): return bool(select.select([signals.wakeup], [], [], 0)[0])
"""


def run(body: str) -> None:
    """Run a script that asserts; its output is shown where it fails."""
    script = HEAD + textwrap.dedent(body)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_signals_are_noted_in_order_and_once() -> None:
    run("""
    for signum in (signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
        os.kill(me, signum)
    assert is_readable()
    assert signals.has() and signals.has(signal.SIGTERM) and not signals.has(signal.SIGINT)
    assert signals.take() == [signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM]
    assert signals.take() == [] and not signals.has() and not is_readable()
    """)


def test_each_ttin_counts() -> None:
    run("""
    for signum in (signal.SIGTTIN, signal.SIGTTIN, signal.SIGTTOU):
        os.kill(me, signum)
    assert signals.take() == [signal.SIGTTIN, signal.SIGTTIN, signal.SIGTTOU]
    """)


def test_bytes_in_the_pipe_are_no_signals() -> None:
    run("""
    os.write(signals.wakeup._write, bytes([signal.SIGTERM]))
    assert is_readable()
    assert signals.take() == []
    """)


def test_child_lets_go_before_its_signals_are_unblocked() -> None:
    run("""
    with signals.blocked():
        pid = os.fork()
        if not pid:
            # Pending until the block ends; then the default action.
            os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.set_wakeup_fd(-1) == -1
            assert signals.wakeup.fileno() == -1
    if not pid:
        os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WTERMSIG(status) == signal.SIGTERM, status
    assert signals.take() == [signal.SIGCHLD]
    """)


def test_signal_in_the_arbiter_during_a_fork_is_not_lost() -> None:
    run("""
    with signals.blocked():
        os.kill(me, signal.SIGTERM)
        pid = os.fork()
    if not pid:
        assert not signals.has()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert signal.SIGTERM in signals.take()
    """)


def test_signal_mask_is_put_back() -> None:
    run("""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with signals.blocked():
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {signal.SIGUSR1}
    """)


def test_handlers_of_others_stay_in_children() -> None:
    run("""
    handler = lambda *_: None
    signal.signal(signal.SIGUSR2, handler)
    pid = os.fork()
    if not pid:
        os._exit(0 if signal.getsignal(signal.SIGUSR2) is handler else 1)
    assert os.waitpid(pid, 0)[1] == 0
    """)
