"""The ``gevent`` worker: the application runs in greenlets of gevent."""

from __future__ import annotations

import select
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import gevent
from gevent import monkey

from monoceros.workers.greenlets import GreenletWorker
from monoceros.workers.patching import explaining

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenlet import greenlet

    from monoceros.log.logger import Logger
    from monoceros.workers.lookout import Hub, Timer

_READ = 1  # of a watcher, as libev has it
_WRITE = 2


class GeventWorker(GreenletWorker):
    """Serves as many requests at a time as there are connections, in greenlets of gevent."""

    @classmethod
    def prepare_import(cls, log: Logger) -> None:
        """Patch the standard library, and log what comes too late for that."""
        if monkey.is_module_patched("socket"):
            return
        with warnings.catch_warnings(record=True) as found, explaining(log, "gevent"):
            warnings.simplefilter("always", monkey.MonkeyPatchWarning)
            monkey.patch_all()
        for one in found:
            log.warning("gevent: %s", " ".join(str(one.message).split()))
        cls.warn_of_late(log, "gevent")

    def init_process(self) -> None:
        """Become a working process; a hub that the arbiter has used begins anew."""
        gevent.reinit()
        super().init_process()

    def patch(self) -> None:
        """Patch, and import all that the hub needs: a user to come may not read the library."""
        super().patch()
        _ = gevent.get_hub().resolver

    def init_signals(self) -> None:
        """Take over the signals; gevent's handler of SIGCHLD has gone with them."""
        super().init_signals()
        reset = getattr(gevent.get_hub().loop, "reset_sigchld", None)
        if reset is not None:
            reset()

    def make_hub(self) -> Hub:
        """Return the hub of this process."""
        return GeventHub()


class GeventPyWSGIWorker(GeventWorker):
    """The same, unless a subclass has a handler or a server for gevent's ``pywsgi``."""

    wsgi_handler: ClassVar[Any] = None  # of ``pywsgi.WSGIHandler``
    server_class: ClassVar[Any] = None  # of ``pywsgi.WSGIServer``

    @classmethod
    def setup(cls) -> None:
        """Import what is needed, gevent's server where it is."""
        super().setup()
        if cls._has_own_server():
            import monoceros.workers.pywsgi  # noqa: F401

    @classmethod
    def _has_own_server(cls) -> bool:
        return cls.wsgi_handler is not None or cls.server_class is not None

    def run(self) -> None:
        """Serve until asked to leave."""
        if not self._has_own_server():
            super().run()
            return
        from monoceros.workers import pywsgi

        pywsgi.serve(self, self.make_hub())


PyWSGIWorker = GeventPyWSGIWorker


class GeventHub:
    """A hub of gevent as a worker sees it."""

    begins_anew = True

    def __init__(self) -> None:
        self._hub = gevent.get_hub()

    def spawn(self, run: Callable[[], object]) -> greenlet:
        """Have a new greenlet begin soon."""
        return gevent.spawn(run)

    def current(self) -> greenlet:
        """Return the greenlet that calls."""
        return gevent.getcurrent()

    def is_current(self) -> bool:
        """Whether it is the hub's own greenlet that calls, in which nothing may wait."""
        return gevent.getcurrent() is self._hub

    def rest(self) -> None:
        """Let all others run once that are ready."""
        gevent.sleep(0)

    def pause(self) -> None:
        """Let others run until this greenlet is switched to from the hub."""
        self._hub.switch()

    def watch(self, fd: int, call: Callable[[], object]) -> Timer:
        """Call whenever a descriptor is readable, until that is cancelled."""
        return _Watcher(self._hub.loop.io(fd, _READ), call)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call once."""
        return _Watcher(self._hub.loop.timer(seconds), call)

    def wait(self, fd: int, events: int, timeout_s: float) -> bool:
        """Do what ``Policy.wait`` does, while other greenlets run."""
        watcher = self._hub.loop.io(fd, _READ if events & select.POLLIN else _WRITE)
        try:
            with gevent.Timeout(max(0.0, timeout_s), TimeoutError):
                self._hub.wait(watcher)
        except TimeoutError:
            return False
        else:
            return True
        finally:
            watcher.close()


class _Watcher:
    """A watcher of the hub's loop that is on its way."""

    def __init__(self, watcher: Any, call: Callable[[], object]) -> None:
        self._watcher = watcher
        watcher.start(call)

    def cancel(self) -> None:
        """Stop it, and give back what it takes."""
        self._watcher.close()
