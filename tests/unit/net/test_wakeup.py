"""The wake-up descriptor."""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

import pytest

from monoceros.net.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    before = signal.set_wakeup_fd(-1)
    handler = signal.signal(signal.SIGUSR1, lambda *_: None)
    made = Wakeup()
    yield made
    made.release()
    signal.signal(signal.SIGUSR1, handler)
    signal.set_wakeup_fd(before)


def is_readable(wakeup: Wakeup) -> bool:
    """Whether a poll would end at once."""
    return bool(select.select([wakeup], [], [], 0)[0])


def test_signal_wakes(wakeup: Wakeup) -> None:
    wakeup.claim()
    assert not is_readable(wakeup)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert is_readable(wakeup)
    wakeup.drain()
    assert not is_readable(wakeup)


def test_wake_from_elsewhere(wakeup: Wakeup) -> None:
    wakeup.wake()
    assert is_readable(wakeup)


def test_full_pipe_does_not_block(wakeup: Wakeup) -> None:
    for _ in range(70_000):
        wakeup.wake()
    wakeup.drain()
    assert not is_readable(wakeup)


def test_claim_tells_whether_it_was_ours(wakeup: Wakeup) -> None:
    wakeup.claim()
    assert wakeup.claim()
    signal.set_wakeup_fd(-1)
    assert not wakeup.claim()
    assert wakeup.claim()


def test_release_leaves_somebody_elses_descriptor(wakeup: Wakeup) -> None:
    wakeup.claim()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    wakeup.release()

    assert signal.set_wakeup_fd(-1) == write_end
    os.close(read_end)
    os.close(write_end)


def test_release_twice(wakeup: Wakeup) -> None:
    wakeup.claim()
    wakeup.release()
    wakeup.release()

    assert wakeup.fileno() == -1
    assert signal.set_wakeup_fd(-1) == -1
