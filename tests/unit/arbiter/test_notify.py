"""What is sent to a service manager, and when."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from monoceros.arbiter import notify
from monoceros.arbiter.children import Child, Children, Phase
from monoceros.arbiter.notify import EXTENSION_S, LONGEST_REASON, Notifier

if TYPE_CHECKING:
    from monoceros.arbiter.loop import Arbiter

WATCHED = {"WATCHDOG_USEC": "10000000"}  # every 5 s


class Stage:
    """A notifier with an arbiter and a manager around it; the clock only moves by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
        self.now = 1000.0
        self.heard: list[str] = []
        self.trouble: list[OSError] = []
        self.log: list[str] = []
        self.children = Children()
        self.server = SimpleNamespace(
            cfg=SimpleNamespace(environ={"NOTIFY_SOCKET": "/run/notify", **environ}),
            children=self.children,
            current=SimpleNamespace(number=1, unmeasured=False),
            log=SimpleNamespace(info=lambda text, *args: self.log.append(text % args)),
            master_pid=0,
            reexec_pid=0,
            num_workers=2,
            pid=7,
            worker_age=0,
        )
        clock = SimpleNamespace(
            monotonic=lambda: self.now, monotonic_ns=lambda: int(self.now * 10**9)
        )
        monkeypatch.setattr(notify, "time", clock)
        monkeypatch.setattr(notify, "_transmit", self._take)
        self.notifier = Notifier(cast("Arbiter", self.server))

    def _take(self, message: str, address: str) -> None:
        assert address == "/run/notify"
        if self.trouble:
            raise self.trouble.pop(0)
        self.heard.append(message.replace("\n", " "))

    def turn(self, seconds: float = 0.0) -> list[str]:
        """Let time pass and the loop turn; return what was heard since the last look."""
        self.now += seconds
        self.notifier.advance(self.now)
        heard, self.heard = self.heard, []
        return heard

    def fork(self, count: int = 1) -> list[Child]:
        """Add booting workers."""
        born = [
            Child(100 + age, age, self.server.current.number, age, born=self.now)
            for age in range(self.server.worker_age, self.server.worker_age + count)
        ]
        self.server.worker_age += count
        for child in born:
            self.children.add(child)
        return born

    def ready(self, *children: Child) -> None:
        """Have workers become ready."""
        for child in children:
            self.children.mark_ready(child, self.now)

    def start(self) -> None:
        """Start with two workers, and listen to all of it."""
        self.notifier.start()
        self.ready(*self.fork(2))
        self.turn()
        self.turn(2.0)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a stage with a watchdog."""
    return Stage(monkeypatch, {**WATCHED, "WATCHDOG_PID": str(os.getpid())})


def status(text: str) -> list[str]:
    """Return what a change of the status is heard as."""
    return [f"STATUS={text}"]


def test_start(stage: Stage) -> None:
    stage.notifier.start()
    assert stage.heard == ["EXTEND_TIMEOUT_USEC=30000000 STATUS=starting"]
    first, second = stage.fork(2)
    assert len(stage.turn()) == 1  # and no status within the same second
    assert stage.turn(1.0) == status("0 of 2 workers ready")
    stage.ready(first)
    assert stage.turn(1.0) == status("1 of 2 workers ready")
    stage.ready(second)

    assert stage.turn() == ["READY=1 STATUS=2 of 2 workers ready", "WATCHDOG=1"]
    assert stage.turn(4.9) == []
    assert stage.notifier.next_due() == pytest.approx(stage.now + 0.1)
    assert stage.turn(0.1) == ["WATCHDOG=1"]


def test_unmeasured_number_is_not_the_configured_one(stage: Stage) -> None:
    stage.server.current.unmeasured, stage.server.num_workers = True, 1
    stage.notifier.start()
    stage.ready(*stage.fork())
    assert not any("READY=1" in message for message in stage.turn())

    stage.server.current.unmeasured, stage.server.num_workers = False, 2
    assert not any("READY=1" in message for message in stage.turn())


def test_time_is_asked_for_while_a_worker_boots(stage: Stage) -> None:
    stage.notifier.start()
    stage.fork(2)
    for _ in range(100):
        stage.heard.clear()
        heard = stage.turn(EXTENSION_S / 2)
        assert heard[-1].startswith("EXTEND_TIMEOUT_USEC=30000000")


def test_no_time_is_asked_for_in_a_crash_loop(stage: Stage) -> None:
    stage.notifier.start()
    for _ in range(3):
        for child in stage.fork(2):
            stage.turn(EXTENSION_S / 2)
            stage.children.remove(child)
    stage.fork(1)

    assert not any("EXTEND" in message for message in stage.turn(EXTENSION_S / 2))


def test_no_time_is_asked_for_while_nothing_boots(stage: Stage) -> None:
    stage.notifier.start()
    (child,) = stage.fork()
    stage.children.remove(child)

    assert not any("EXTEND" in message for message in stage.turn(EXTENSION_S / 2)[1:])


def test_reload(stage: Stage) -> None:
    stage.start()
    stage.notifier.reload_began()
    assert stage.heard == ["RELOADING=1 MONOTONIC_USEC=1002000000 EXTEND_TIMEOUT_USEC=30000000"]
    stage.server.current.number = 2
    successors = stage.fork(2)
    stage.turn()
    stage.ready(successors[0])
    assert stage.turn(1.0) == status("1 of 2 new workers ready")
    assert stage.turn(14.0)[0].startswith("EXTEND_TIMEOUT_USEC=")
    stage.ready(successors[1])
    stage.notifier.reload_ended()

    assert stage.turn() == ["READY=1 STATUS=2 of 2 workers ready"]


def test_failed_reload_stays_in_the_status_until_the_next(stage: Stage) -> None:
    stage.start()
    stage.notifier.reload_began()
    stage.turn()
    stage.notifier.reload_ended("Cannot read x:\n  File 'x'\nSyntaxError: no\x1b\n")
    text = "reload failed: Cannot read x:: SyntaxError: no?"
    assert stage.turn() == [f"READY=1 STATUS=2 of 2 workers ready; {text}"]

    stage.notifier.reload_began()
    stage.notifier.reload_ended("x" * 1000)
    assert len(stage.turn()[-1]) < LONGEST_REASON + 100
    stage.notifier.reload_began()
    stage.notifier.reload_ended()
    assert stage.turn()[-1] == "READY=1 STATUS=2 of 2 workers ready"


def test_reload_before_the_start_is_over_is_part_of_it(stage: Stage) -> None:
    stage.notifier.start()
    stage.fork(2)
    stage.turn()
    stage.notifier.reload_began()
    stage.notifier.reload_ended("no")
    stage.ready(*stage.children)

    assert [message.partition(" ")[0] for message in stage.turn()] == ["READY=1", "WATCHDOG=1"]


def test_replacements_of_another_kind_are_no_reload(stage: Stage) -> None:
    stage.start()
    stage.server.current.number = 2
    stage.fork(2)
    assert stage.turn(1.0) == []
    stage.notifier.reload_ended()

    assert stage.turn(1.0) == []


def test_deaths_are_counted(stage: Stage) -> None:
    stage.start()
    stage.children.remove(next(iter(stage.children)))
    stage.notifier.count_death()
    assert stage.turn() == status("1 of 2 workers ready; 1 died so far")
    stage.ready(*stage.fork())
    assert stage.turn(0.5) == []
    assert stage.notifier.next_due() == stage.now + 0.5

    assert stage.turn(0.5) == status("2 of 2 workers ready; 1 died so far")


def test_stop(stage: Stage) -> None:
    stage.start()
    stage.notifier.stop_began(30.0, "Reasons.")
    assert stage.turn() == [
        "STOPPING=1 STATUS=stopping, 2 workers left; Reasons. EXTEND_TIMEOUT_USEC=35000000"
    ]
    stage.children.remove(next(iter(stage.children)))
    assert stage.turn(20.0) == status("stopping, 1 worker left; Reasons.")
    stage.notifier.leave()

    assert stage.turn() == []
    assert stage.notifier.next_due() is None


def test_old_arbiter_hands_over(stage: Stage) -> None:
    stage.start()
    stage.server.reexec_pid = 8
    stage.notifier.stop_began(30.0)
    assert stage.turn() == status("stopping, 2 workers left")
    assert stage.turn(4.0) == ["WATCHDOG=1"]
    stage.notifier.leave()

    assert stage.heard == ["MAINPID=8 STATUS=handed over to process 8"]


def test_new_arbiter_that_dies_first_leaves_a_stop(stage: Stage) -> None:
    stage.start()
    stage.server.reexec_pid = 8
    stage.notifier.stop_began(30.0)
    stage.turn()
    stage.server.reexec_pid = 0
    assert stage.turn(10.0)[0].startswith("STOPPING=1 ")
    assert stage.turn(10.0) == []
    stage.notifier.leave()
    assert stage.heard == []


def test_new_arbiter_is_silent_until_it_is_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, {**WATCHED, "WATCHDOG_PID": "6", "GUNICORN_PID": "6"})
    stage.server.master_pid = 6
    stage.notifier.start()
    first, second = stage.fork(2)
    stage.notifier.reload_began()
    assert stage.turn(60.0) == []
    assert stage.notifier.next_due() is None
    stage.ready(first)

    stage.server.master_pid = 0
    heard = stage.turn()
    assert heard == ["MAINPID=7", "WATCHDOG=1", "STATUS=1 of 2 workers ready"]
    stage.ready(second)
    assert stage.turn()[0] == "READY=1 STATUS=2 of 2 workers ready"


def test_new_arbiter_that_is_told_to_stop_keeps_it_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, {"GUNICORN_PID": "6"})
    stage.server.master_pid = 6
    stage.notifier.start()
    stage.notifier.stop_began(30.0)
    stage.turn()
    stage.notifier.leave()

    assert stage.heard == []


def test_heir_of_an_arbiter_that_has_gone_already(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, {**WATCHED, "WATCHDOG_PID": "6", "GUNICORN_PID": "6"})
    stage.notifier.start()

    assert stage.heard == ["MAINPID=7", "WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-5"},
        {**WATCHED, "WATCHDOG_PID": "1"},
        {},
    ],
)
def test_watchdogs_that_are_not_for_us(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    stage = Stage(monkeypatch, environ)
    stage.start()

    assert stage.turn(100.0) == []
    assert stage.notifier.next_due() is None


def test_watchdog_without_a_pid_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, WATCHED)
    stage.start()

    assert stage.turn(100.0) == ["WATCHDOG=1"]


@pytest.mark.parametrize("name", ["", "run/notify", "vsock:2:1234"])
def test_no_address_that_we_know(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stage = Stage(monkeypatch, {"NOTIFY_SOCKET": name, **WATCHED})
    stage.start()
    stage.notifier.reload_began()
    stage.notifier.stop_began(1.0)

    assert stage.turn() == []
    assert stage.notifier.next_due() is None


def test_full_socket_is_tried_again(stage: Stage) -> None:
    stage.start()
    stage.trouble = [BlockingIOError()] * 3
    stage.notifier.reload_began()
    stage.notifier.reload_ended()
    assert stage.heard == []
    assert stage.turn(0.1) == []
    due = stage.notifier.next_due()
    assert due is not None
    assert stage.now < due < stage.now + 1.0

    heard = stage.turn(0.1)
    assert [message.partition("=")[0] for message in heard] == ["RELOADING", "READY"]
    assert stage.log == []


def test_failure_is_logged_once(stage: Stage) -> None:
    stage.trouble = [ConnectionRefusedError(111, "Connection refused") for _ in range(9)]
    stage.start()
    stage.turn(50.0)

    (line,) = stage.log
    assert line.startswith("The service manager at /run/notify hears nothing: ")


def test_draining_workers_are_not_counted(stage: Stage) -> None:
    stage.start()
    leaver = next(iter(stage.children))
    stage.children.mark_draining(leaver, stage.now + 30)

    assert leaver.phase is Phase.DRAINING
    assert stage.turn(1.0) == status("1 of 2 workers ready")
