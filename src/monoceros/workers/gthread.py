"""The ``gthread`` worker: several threads run the application, one of them leads.

Theory of operation. The leader polls and runs the application itself, so that an application that
answers at once pays for no queue and no hand-over. When a call lasts for longer than a moment, the
main thread, which is the monitor and takes the signals, makes the thread that was parked last the
leader: light load stays on few threads, and so on few of the connections that applications keep for
each thread. A request's whole life is on one thread. Where no thread is parked, the main
thread tends the connections itself until one returns.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from monoceros.net.wakeup import Wakeup
from monoceros.workers.serving import WsgiWorker

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.http import Core
    from monoceros.workers.reactor import Reactor

_PARTING_S = 0.5  # how long threads may take to notice that it is over


class ThreadWorker(WsgiWorker):
    """Serves as many requests at a time as there are ``threads``."""

    _is_told = False  # the leader knows that it is time to leave

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """One for the main thread, and for each thread one and one for who replaces it."""
        return 1 + 2 * cfg.threads

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        from monoceros.workers.monitor import Monitor

        if self.wakeup is None:
            raise RuntimeError("run() needs signals; init_process() sets them up")
        threads = self.cfg.threads
        tender = self._make_core(0, tends=True)
        cores = [self._make_core(1 + n, multithread=threads > 1) for n in range(threads)]
        bell = Wakeup()
        reactor = self._make_reactor(cores[0], bell)
        crew = Crew(self, reactor, cores, bell)
        giver = self._make_giver(reactor)
        monitor = Monitor(reactor, tender, self.wakeup, giver, crew.promote, self._breathe)
        self._hurry = crew.hurry
        crew.start()
        try:
            self._tick()
            while crew.is_serving:
                monitor.look(self.next_tick - time.monotonic())
                self.wakeup.drain()
                self._breathe()
            if crew.fault is not None:
                raise crew.fault
            self._finish(reactor)
        finally:
            if crew.stop():
                reactor.close()

    def wake(self) -> None:
        """Have the main thread look what is new."""
        if self.wakeup is not None:
            self.wakeup.wake()

    def _breathe(self) -> None:
        """Do what the main thread owes to others: it may be busy with connections for long."""
        self._tick()
        if not self.alive and not self._is_told:
            self._is_told = True
            self._hurry()


class _Seat(threading.Thread):
    """One thread that runs the application, and what it waits for while it is parked."""

    def __init__(self, crew: Crew, core: Core, number: int) -> None:
        super().__init__(name=f"monoceros-{number}", daemon=True)
        self.core = core
        self._crew = crew
        self._called = threading.Semaphore(0)

    def run(self) -> None:
        self._crew.work(self)

    def call(self) -> None:
        """Wake it from its parking, now or the next time it parks."""
        self._called.release()

    def park(self) -> None:
        """Wait to be called."""
        self._called.acquire()


class Crew:
    """The threads of one worker that run the application."""

    def __init__(
        self, worker: ThreadWorker, reactor: Reactor, cores: list[Core], bell: Wakeup
    ) -> None:
        self.is_serving = True
        self.fault: BaseException | None = None  # that ended one of the threads
        self._worker = worker
        self._reactor = reactor
        self._bell = bell
        self._seats = [_Seat(self, core, number) for number, core in enumerate(cores, 1)]
        self._parked: list[_Seat] = []

    def start(self) -> None:
        """Have the threads begin, the first one as the leader."""
        for seat in self._seats:
            seat.start()

    def promote(self) -> Core | None:
        """Call the thread that was parked last; returns its Core, None where all are at work.

        With the reactor's lock, under which the caller lets it lead.
        """
        if not self._parked:
            return None
        seat = self._parked.pop()
        seat.call()
        return seat.core

    def hurry(self) -> None:
        """End the leader's poll: there is something new to know."""
        self._bell.wake()

    def work(self, seat: _Seat) -> None:
        """Lead whenever it is this thread's turn, and wait otherwise."""
        reactor, core = self._reactor, seat.core
        try:
            while self.is_serving:
                if reactor.leader is not core and not self._leads(seat):
                    seat.park()
                elif not self._worker.serve(reactor, core, sys.maxsize):
                    break
        except BaseException as error:  # border: a worker without a leader serves nobody
            self.fault = error
        if self.is_serving:
            self.is_serving = False
            self._worker.wake()

    def _leads(self, seat: _Seat) -> bool:
        """Whether a thread that has nothing to do is to lead; it is parked if not."""
        reactor, core = self._reactor, seat.core
        with reactor.lock:
            if reactor.leader is reactor.stand_in:
                reactor.lead(core)
            elif reactor.leader is None and reactor.led_by is core:
                reactor.leader = core
            elif reactor.leader is not core:
                self._parked.append(seat)
                return False
            return True

    def stop(self) -> bool:
        """Have all threads end that are not inside a call; False where some still are."""
        self.is_serving = False
        self._bell.wake()
        for seat in self._seats:
            seat.call()
        deadline = time.monotonic() + _PARTING_S
        for seat in self._seats:
            if not seat.core.running:
                seat.join(max(0.0, deadline - time.monotonic()))
        return not any(seat.is_alive() for seat in self._seats)
