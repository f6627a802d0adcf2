"""What workers have in common that run the application in greenlets.

Theory of operation. It is the ``gthread`` worker with greenlets in the place of threads, and with
the hub in that of its monitor. The greenlet that leads polls and runs the application itself, so
that an application that answers at once pays for no switch. When a call waits for something, the
hub has the process, and as soon as there is something to do on any connection, another greenlet
leads on (``lookout``). Each has a Core of its own, since the output of a call that waits stays
where it is. There are as many as there are calls at the same time, of which there are at most as
many as connections. One whose call has waited ends with it.

Nothing here is ever interrupted by another greenlet: the application's calls are the only ones
that let others run. A call that computes for long stops the whole process, hub and all.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from monoceros.errors import CallExpired
from monoceros.workers.expiry import LOOK_S, Expiry
from monoceros.workers.lookout import Lookout
from monoceros.workers.patching import describe_late, format_warning
from monoceros.workers.poller import make_poller
from monoceros.workers.serving import WsgiWorker

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from greenlet import greenlet

    from monoceros.config import Config
    from monoceros.http import Core
    from monoceros.log.logger import Logger
    from monoceros.workers.lookout import Hub
    from monoceros.workers.reactor import Reactor

_MOST_RECORDS = 1000  # each is 704 octets, and looked at when the worker has gone
_HELPERS = 2  # scoreboard records beyond those of calls: who leads, and who answers for the late


class GreenletWorker(WsgiWorker):
    """Serves as many requests at a time as there are connections."""

    _shift: Shift | None = None

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """One for each call, the main thread's being the first of them, and the helpers'.

        More calls than that at the same time are served like others, and not counted.
        """
        return min(cfg.worker_connections, _MOST_RECORDS) + _HELPERS

    @classmethod
    def prepare_import(cls, log: Logger) -> None:
        """Have the standard library wait in greenlets before an application is imported."""
        raise NotImplementedError

    @staticmethod
    def warn_of_late(log: Logger, library: str) -> None:
        """Log which modules were imported before the patching."""
        late = describe_late()
        if late:
            log.warning("%s", format_warning(library, late))

    def make_hub(self) -> Hub:
        """Return the hub of this process."""
        raise NotImplementedError

    def patch(self) -> None:
        """Patch the standard library; subclasses add to it."""
        self.prepare_import(self.log)

    def init_process(self) -> None:
        """Become a working process whose standard library waits in greenlets."""
        self.patch()
        super().init_process()

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        if self.wakeup is None:
            raise RuntimeError("run() needs signals; init_process() sets them up")
        hub = self.make_hub()
        core = self._make_core(0, multithread=True)
        core.policy.wait = hub.wait
        self._shift = shift = Shift(self, hub)
        core.policy.turn = shift.lookout.turn
        reactor = self._make_reactor(core, self.wakeup, shift.lookout)
        tender = self._make_core(1, tends=True)
        expiry = Expiry(reactor, tender, self.log, shift.find_frame, shift.lose)
        try:
            shift.run(reactor, core, expiry)
            self._finish(reactor)
        finally:
            reactor.write_log(core)
            reactor.close()

    def handle_quit(self, signum: int, frame: FrameType | None) -> None:
        """QUIT and INT: as ever, but a hook that waits may not do so in the hub."""
        self._end_outside_of_the_hub(partial(super().handle_quit, signum, frame))

    def handle_abort(self, signum: int, frame: FrameType | None) -> None:
        """ABRT: the same."""
        self._end_outside_of_the_hub(partial(super().handle_abort, signum, frame))

    def _end_outside_of_the_hub(self, end: Callable[[], object]) -> None:
        shift = self._shift
        if shift is not None and shift.hub.is_current():
            shift.end_by(end)
        else:
            end()

    def make_core(self) -> Core:
        """Return the Core of one greenlet more."""
        return self._make_core(len(self.cores), multithread=True)

    def serve_on(self, reactor: Reactor, core: Core, expiry: Expiry) -> bool:
        """Do what is to do as the leading greenlet, for about a second; False when all is done."""
        self._tick()
        expiry.look()
        until = self.next_tick
        if reactor.away:
            until = min(until, time.monotonic() + LOOK_S)
        return self.serve(reactor, core, until)

    def _let_go(self) -> None:
        if self._shift is not None:
            self._shift.lookout.abandon()
        super()._let_go()


class Shift:
    """The greenlets of one worker that run the application."""

    def __init__(self, worker: GreenletWorker, hub: Hub) -> None:
        self.hub = hub
        self.lookout = Lookout(make_poller(), hub, self._relieve, worker.log.warning)
        self._worker = worker
        self._greenlets: dict[Core, greenlet] = {}
        self._spare: list[Core] = []
        self._main = hub.current()
        self._is_serving = True
        self._fault: BaseException | None = None  # that ended one of the greenlets
        self._reactor: Reactor
        self._expiry: Expiry

    def run(self, reactor: Reactor, core: Core, expiry: Expiry) -> None:
        """Have greenlets serve until nothing is left to do; the first one leads with ``core``."""
        self._reactor, self._expiry = reactor, expiry
        self._begin(core)
        try:
            while self._is_serving:
                self.hub.pause()
        finally:
            self._is_serving = False
        if self._fault is not None:
            raise self._fault

    def end_by(self, call: Callable[[], object]) -> None:
        """Have a greenlet of its own make a call, which raises what the worker ends with."""
        self._is_serving = False
        self.hub.spawn(partial(self._end_by, call))

    def _end_by(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # border: it ends the main greenlet, not this one
            self._fault = error
        self.hub.call_later(0, self._main.switch)

    def _begin(self, core: Core) -> None:
        self._greenlets[core] = self.hub.spawn(partial(self._work, core))

    def _work(self, core: Core) -> None:
        """Lead until another greenlet does, and leave the Core to the next one then.

        What the call has left behind in this greenlet, such as a timeout, ends with it.
        """
        reactor = self._reactor
        try:
            while self._is_serving:
                if reactor.leader is not core:
                    self._spare.append(core)
                    return
                if not self._worker.serve_on(reactor, core, self._expiry):
                    break
        except BaseException as error:  # border: a worker without a leader serves nobody
            self._fault = error
        if self._is_serving:
            self._is_serving = False
            self.hub.call_later(0, self._main.switch)

    def _relieve(self) -> bool:
        """Have another greenlet lead while a call waits; False where there is none."""
        reactor = self._reactor
        late = reactor.led_by
        if not (late.running and self._is_serving):
            return False
        core = self._take_core()
        with reactor.lock:
            reactor.lift()
            reactor.write_log(late)
            reactor.lead(core)
        self._begin(core)
        return True

    def _take_core(self) -> Core:
        if self._spare:
            return self._spare.pop()
        core = self._worker.make_core()
        self._reactor.adopt(core)
        return core

    # -- calls that take too long --------------------------------------------------------------

    def find_frame(self, core: Core) -> FrameType | None:
        """Return where the greenlet is that has a Core."""
        return self._greenlets[core].gr_frame

    def lose(self, core: Core) -> None:
        """End a call that has been answered for."""
        self.hub.call_later(0, partial(self._interrupt, core))

    def _interrupt(self, core: Core) -> None:
        if core in self._reactor.lost:
            self._greenlets[core].throw(CallExpired())
