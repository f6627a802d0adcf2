"""The ``gthread`` worker: several threads run the application, one of them leads.

Theory of operation. The leader polls and runs the application itself, so that an application that
answers at once pays for no queue and no hand-over. When a call lasts for longer than a moment, the
main thread, which is the monitor and takes the signals, makes the thread that was parked last the
leader: light load stays on few threads, and so on few of the connections that applications keep for
each thread. A request's whole life is on one thread. Where no thread is parked, the main
thread tends the connections itself until one returns.

A thread whose call takes longer than it may is lost, and another one works in its place until the
call returns, with a Core of its own. When as many are lost as there are ``threads``, the worker
asks for its successor. A thread that returns after all ends, since another has its place, and
leaves its Core to the next that is needed.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from typing import TYPE_CHECKING

from monoceros.errors import AppImportError
from monoceros.net.wakeup import Wakeup
from monoceros.scoreboard import State, rest
from monoceros.unpatched import start_new_thread
from monoceros.workers.draining import PATIENCE
from monoceros.workers.frames import frame_of
from monoceros.workers.serving import WsgiWorker

if TYPE_CHECKING:
    from types import FrameType

    from monoceros.config import Config
    from monoceros.http import Core
    from monoceros.workers.expiry import Expiry
    from monoceros.workers.reactor import Reactor

_PARTING_S = 0.5  # how long threads may take to notice that it is over


class ThreadWorker(WsgiWorker):
    """Serves as many requests at a time as there are ``threads``."""

    _crew: Crew | None = None
    _expiry: Expiry | None = None
    _is_told = False  # the leader knows that it is time to leave

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """One for the main thread, and for each thread one and one for who replaces it."""
        return cls.make_room(cfg, 1 + 2 * cfg.threads)

    def load_wsgi(self) -> None:
        """Import the application, which has to leave threads what they are."""
        super().load_wsgi()
        if _thread.start_new_thread is not start_new_thread:
            raise AppImportError(
                "Threads have been patched to be greenlets (monkey.patch_all() or the like): "
                "choose the worker class gevent or eventlet, or leave threads alone"
            )

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        from monoceros.workers.expiry import Expiry
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
        self._expiry = Expiry(reactor, tender, self.log, crew.find_frame, crew.lose)
        self._crew = crew
        monitor = Monitor(
            reactor, tender, self.wakeup, self.siblings(), giver, crew.promote, self._breathe
        )
        self._hurry = crew.hurry
        crew.start()
        try:
            self._tick()
            while crew.is_serving:
                until_tick = max(0.0, self.next_tick - time.monotonic())
                monitor.look(self._expiry.until_look(until_tick))
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

    def make_core(self) -> Core | None:
        """Return a Core for one thread more; None where no scoreboard record is left for it."""
        index = len(self.cores)
        if index >= self.records:
            return None
        return self._make_core(index, multithread=self.cfg.threads > 1)

    def _breathe(self) -> None:
        """Do what the main thread owes to others: it may be busy with connections for long."""
        self._tick()
        if self._expiry is not None and self._crew is not None and self._expiry.look():
            self._crew.refill()
        if not self.alive and not self._is_told:
            self._is_told = True
            self._hurry()
        # With all threads inside calls nobody else looks whether it is time.
        if self._crew is not None and not self.alive and self.may_leave() and self._is_overdue():
            self._crew.give_up()

    def _is_overdue(self) -> bool:
        told = self.told_to_leave
        longest_s = PATIENCE * self.cfg.graceful_timeout
        return told is not None and time.monotonic() >= told + longest_s


class _Seat(threading.Thread):
    """One thread that runs the application, and what it waits for while it is parked."""

    def __init__(self, crew: Crew, core: Core, number: int) -> None:
        super().__init__(name=f"monoceros-{number}", daemon=True)
        self.core = core
        self.is_lost = False  # its request was answered for, while its call goes on
        self.is_over = False
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
        self._wanted = len(cores)
        self._spare: list[Core] = []  # of threads that have ended
        reactor.dismisses = self._dismisses

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
            while self.is_serving and not seat.is_over:
                if reactor.leader is not core and not self._leads(seat):
                    seat.park()
                elif not self._worker.serve(reactor, core, sys.maxsize):
                    break
        except BaseException as error:  # border: a worker without a leader serves nobody
            self.fault = error
        if self.is_serving and not seat.is_over:
            self.is_serving = False
            self._worker.wake()

    def _leads(self, seat: _Seat) -> bool:
        """Whether a thread that has nothing to do is to lead; it is parked if not."""
        with self._reactor.lock:
            leads = self._reactor.regain(seat.core)
            if not leads:
                self._parked.append(seat)
            return leads

    def give_up(self) -> None:
        """Stop serving where all threads are inside calls; else the leader knows when."""
        reactor = self._reactor
        with reactor.lock:
            if reactor.leader is reactor.stand_in:
                self.is_serving = False
                reactor.leader = None

    # -- lost threads ------------------------------------------------------------------------

    def _find(self, core: Core) -> _Seat:
        return next(seat for seat in reversed(self._seats) if seat.core is core)

    def find_frame(self, core: Core) -> FrameType | None:
        """Return where the thread is that has a Core."""
        return frame_of(self._find(core).ident)

    def lose(self, core: Core) -> None:
        """Give up a thread until its call returns; with the reactor's lock."""
        self._find(core).is_lost = True
        if sum(seat.is_lost for seat in self._seats) >= self._wanted:
            self._worker.ask_for_successor()

    def refill(self) -> None:
        """Have as many threads work as there are to be, as far as there are records for them."""
        reactor = self._reactor
        while self.is_serving:
            with reactor.lock:
                working = sum(not seat.is_lost for seat in self._seats)
                core = self._take_core() if working < self._wanted else None
                if core is None:
                    return
                seat = _Seat(self, core, len(self._seats) + 1)
                self._seats.append(seat)
            seat.start()

    def _take_core(self) -> Core | None:
        if self._spare:
            core = self._spare.pop()
            if core.scoreboard_record is not None:
                rest(core.scoreboard_record, time.monotonic_ns())
            return core
        made = self._worker.make_core()
        if made is not None:
            self._reactor.adopt(made)
        return made

    def _dismisses(self, core: Core) -> bool:
        """Whether a thread ends that was lost, because another has its place; with the lock."""
        seat = self._find(core)
        seat.is_lost = False
        if self.is_serving and sum(not one.is_lost for one in self._seats) <= self._wanted:
            return False
        seat.is_over = True
        self._seats.remove(seat)
        self._spare.append(core)
        if core.scoreboard_record is not None:
            rest(core.scoreboard_record, time.monotonic_ns(), State.TENDING)
        return True

    def stop(self) -> bool:
        """Have all threads end that are not inside a call; False where some still are.

        Lost ones do not count.
        """
        self.is_serving = False
        self._bell.wake()
        with self._reactor.lock:
            seats = [seat for seat in self._seats if not seat.is_lost]
        for seat in seats:
            seat.call()
        deadline = time.monotonic() + _PARTING_S
        for seat in seats:
            if not seat.core.running:
                seat.join(max(0.0, deadline - time.monotonic()))
        return not any(seat.is_alive() for seat in seats)
