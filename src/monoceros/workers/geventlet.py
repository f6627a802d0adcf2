"""The ``eventlet`` worker: the application runs in greenlets of eventlet."""

from __future__ import annotations

import select
import warnings
from typing import TYPE_CHECKING, Any

with warnings.catch_warnings():
    # What it would say on standard error, ``check_config`` says in the log.
    warnings.simplefilter("ignore")
    import eventlet
    from eventlet import hubs, patcher

from monoceros.workers.greenlets import GreenletWorker
from monoceros.workers.patching import explaining

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlet import greenlet

    from monoceros.config import Config
    from monoceros.log.logger import Logger
    from monoceros.workers.lookout import Hub, Timer


class EventletWorker(GreenletWorker):
    """Serves as many requests at a time as there are connections, in greenlets of eventlet."""

    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        """Log what eventlet's authors say about its future."""
        super().check_config(cfg, log)
        log.info("eventlet is maintained for programs that have it; for new ones, see gevent")

    @classmethod
    def prepare_import(cls, log: Logger) -> None:
        """Patch the standard library, and log what comes too late for that."""
        if not patcher.is_monkey_patched("socket"):
            with explaining(log, "eventlet"):
                eventlet.monkey_patch()
            cls.warn_of_late(log, "eventlet")

    def init_process(self) -> None:
        """Become a working process, with a hub that the arbiter has not used."""
        hubs.use_hub()
        super().init_process()

    def patch(self) -> None:
        """Patch, and import all that the hub needs: a user to come may not read the library."""
        super().patch()
        hubs.get_hub()

    def make_hub(self) -> Hub:
        """Return the hub of this process."""
        return EventletHub()


class EventletHub:
    """A hub of eventlet as a worker sees it."""

    begins_anew = False

    def __init__(self) -> None:
        self._hub = hubs.get_hub()

    def spawn(self, run: Callable[[], object]) -> greenlet:
        """Have a new greenlet begin soon."""
        made: greenlet = eventlet.spawn(run)
        return made

    def current(self) -> greenlet:
        """Return the greenlet that calls."""
        here: greenlet = eventlet.getcurrent()
        return here

    def is_current(self) -> bool:
        """Whether it is the hub's own greenlet that calls, in which nothing may wait."""
        return bool(eventlet.getcurrent() is self._hub.greenlet)

    def rest(self) -> None:
        """Let all others run once that are ready."""
        eventlet.sleep(0)

    def pause(self) -> None:
        """Let others run until this greenlet is switched to from the hub."""
        self._hub.switch()

    def watch(self, fd: int, call: Callable[[], object]) -> Timer:
        """Call whenever a descriptor is readable, until that is cancelled."""
        return _Listener(self._hub, fd, call)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call once."""
        timer: Timer = self._hub.schedule_call_global(seconds, call)
        return timer

    def wait(self, fd: int, events: int, timeout_s: float) -> bool:
        """Do what ``Policy.wait`` does, while other greenlets run."""
        reads = bool(events & select.POLLIN)
        try:
            hubs.trampoline(
                fd,
                read=reads,
                write=not reads,
                timeout=max(0.0, timeout_s),
                timeout_exc=TimeoutError,
            )
        except TimeoutError:
            return False
        return True


class _Listener:
    """A descriptor that the hub watches."""

    def __init__(self, hub: Any, fd: int, call: Callable[[], object]) -> None:
        self._hub = hub
        self._listener = hub.add(hub.READ, fd, lambda _: call(), _ignore, _ignore)

    def cancel(self) -> None:
        """Watch it no more."""
        self._hub.remove(self._listener)


def _ignore(*_: object) -> None:
    """Do what is to be done where somebody else closes the descriptor, which nobody does."""
