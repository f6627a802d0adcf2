"""One ASGI worker's life, from its loop's first turn to its last answer.

Theory of operation. A coroutine of the worker's own does what is due once a second, and whatever
signals ask for; the loop does everything else. Told to leave, it closes the listeners, or empties
their queues where nobody comes after it, tells streams first, and lets every request end. Idle
connections are kept for a moment, because their clients may be about to send one more request.

Then the calls that are left are cancelled, and the lifespan ends; that is a task of its own, which
whoever cancels ``main`` makes hurry, and no more. A quick stop shows in ``is_stopped``, and only a
loop that does not look is ended by an exception: ``loops.run`` cancels ``main`` and runs it on.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from monoceros.asgi.application import adapt
from monoceros.asgi.connection import Connection
from monoceros.asgi.lifespan import Lifespan
from monoceros.asgi.loops import HURRY_S
from monoceros.asgi.service import Service
from monoceros.errors import LifespanFailed
from monoceros.http import Record
from monoceros.net.closing import is_ending
from monoceros.net.trust import Trusted
from monoceros.scoreboard import SlotPhase, count_connections
from monoceros.workers.asgi.core import make_core
from monoceros.workers.asgi.farewell import RESTART, STOP, Farewell
from monoceros.workers.asgi.intake import Intake
from monoceros.workers.asgi.observers import Observers
from monoceros.workers.asgi.sockets import Sockets
from monoceros.workers.asgi.stacks import describe_calls, describe_task
from monoceros.workers.asgi.sweep import LOOK_S, Sweep
from monoceros.workers.asgi.upgrades import Upgrades
from monoceros.workers.descriptors import raise_limit
from monoceros.workers.draining import IDLE_GRACE_S, PATIENCE, SETTLE_S
from monoceros.workers.news import News
from monoceros.workers.timeouts import Timeouts
from monoceros.wsgi.observers import Observers as WsgiObservers

if TYPE_CHECKING:
    from collections.abc import Callable

    from monoceros.asgi.loops import Ending
    from monoceros.workers.supervised import SupervisedWorker

_TICK_S = 1.0
_BURST = 16
_LAST = 0.97  # the part of graceful_timeout that is over when the application has ended
_BUSY_S = 0.02  # how often is looked whether the last answer is out
_ABORT_S = 0.8  # from ABRT to the end, as the arbiter allows a second
_REST_S = 0.5  # what of that, or of a quick stop, is for what comes after the lifespan
_WORD_S = 0.1  # how long the arbiter may take to say that it was it who asked for that
_MOMENT_S = 0.2  # for those who are told then


class Serving:
    """Serves the application of one worker, in the loop that runs."""

    def __init__(self, worker: SupervisedWorker, ending: Ending) -> None:
        self._worker = worker
        self._ending = ending
        self._life: asyncio.Task[None] | None = None  # up to the last answer
        self._farewell: Farewell | None = None  # once there may be calls
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._app = adapt(worker.wsgi)
        cfg = worker.cfg
        inner = WsgiObservers(worker)
        self._core = make_core(worker, inner)
        self._observers = Observers(worker, inner)
        self._observers.attach(self._core, self._write_log_soon)
        self._lifespan = Lifespan(self._app, cfg.asgi_lifespan, worker.log, ending)
        self._access = worker.log.access_sink()
        self._is_log_due = False
        limit = raise_limit(cfg.worker_connections, worker.log.warning)
        self._sockets = Sockets(self._loop, self._core)
        self._intake = Intake(
            self._loop,
            self._sockets,
            self._make_connection,
            worker.sockets,
            limit=limit,
            burst=1 if cfg.workers > 1 else _BURST,
            warn=worker.log.warning,
        )

    async def main(self) -> None:
        """Serve until asked to leave, then finish what has been received; cancelled, at once."""
        wakeup = self._worker.wakeup
        if wakeup is None:
            raise RuntimeError("run() needs signals; init_process() sets them up")
        self._loop.add_reader(wakeup.fileno(), self._wake)
        self._life = life = self._loop.create_task(self._live())
        await self._see_through(life)
        if life.cancelled() or life.exception() is not None:
            self._hurry()
        end = self._loop.create_task(self._end())
        await self._see_through(end)
        self._loop.remove_reader(wakeup.fileno())
        self._sockets.close()
        self._worker.heed_stop()
        for task in (end, life):
            if not task.cancelled():
                task.result()

    async def _see_through(self, task: asyncio.Task[None]) -> None:
        """Wait for the end of a task, which is to come soon where this is cancelled."""
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                self._hurry()

    def _hurry(self) -> None:
        """Have all end soon."""
        self._ending.hurry(_ABORT_S if self._worker.aborted else HURRY_S)
        if self._life is not None:
            self._ending.cancel(self._life)

    async def _live(self) -> None:
        await self._start()
        farewell = self._farewell = self._begin()
        self._worker.become_ready()
        self._intake.start()
        await self._serve()
        await self._drain(farewell)

    async def _start(self) -> None:
        """Have the application start; under ``reload`` serve the reason where it does not."""
        worker = self._worker
        worker.report_calls = partial(self._report_start, worker.log.error, "")
        telling = self._loop.create_task(self._tell_of_long_start())
        try:
            await self._lifespan.start()
        except LifespanFailed as error:
            if worker.modules is None:
                raise
            worker.stand_in(error, worker.log.error)
            self._app = adapt(worker.wsgi)
        finally:
            self._ending.cancel(telling)

    async def _tell_of_long_start(self) -> None:
        """Log where a start waits that takes long, as often as the arbiter logs that it does."""
        began = time.monotonic()
        while timeout := self._worker.cfg.timeout:
            await asyncio.sleep(timeout)
            seconds = time.monotonic() - began
            self._report_start(self._worker.log.warning, f", after {seconds:.1f}s")

    def _report_start(self, log: Callable[..., None], age: str) -> None:
        """Log where the application's start waits, which the stack of the loop does not show."""
        frames = describe_task(self._lifespan.task)
        log("Lifespan of worker (pid:%s)%s\n%s", os.getpid(), age, frames)

    def _begin(self) -> Farewell:
        """Make what calls the application; returns who ends its calls."""
        worker = self._worker
        cfg = worker.cfg
        extras = {"state": self._lifespan.state} if self._lifespan.is_supported else {}
        self._service = self._intake.service = Service(
            self._app,
            self._core,
            self._loop,
            worker.log,
            self._observers,
            trusted=Trusted(cfg.forwarded_allow_ips),
            root_path=cfg.root_path or cfg.environ.get("SCRIPT_NAME", ""),
            grace_s=cfg.asgi_disconnect_grace_period,
            records=self._claim_records(),
            extras=extras,
            has_room=self._intake.has_room,
        )
        self._upgrades = Upgrades(self._service, self._loop, self._observers, cfg)
        self._service.upgrade = self._upgrades.begin
        self._sweep = Sweep(self._service, Timeouts.from_config(cfg), cfg.request_timeout)
        self._service.set_timeout = self._set_timeout
        worker.report_calls = self._report_calls
        return Farewell(self._service, self._upgrades, self._ending, worker.log)

    def _claim_records(self) -> list[Any]:
        """Return the records for requests, the first to be used last in the list."""
        worker = self._worker
        now_ns = time.monotonic_ns()
        records = []
        for index in range(worker.records):
            number = worker.slot_index + index
            if index:
                worker.scoreboard.claim(number, os.getpid(), now_ns)
            records.append(Record(worker.scoreboard.slot(number)))
        return records[::-1]

    def _report_calls(self) -> None:
        """Log what the calls wait for; the stack of the loop shows the one that runs."""
        if self._farewell is not None and self._farewell.has_calls:
            self._worker.log.error(
                "Calls of worker (pid:%s)\n%s",
                os.getpid(),
                describe_calls([*self._service.calls, *self._upgrades.calls], time.monotonic_ns()),
            )

    def _make_connection(self) -> Connection:
        return Connection(self._service)

    # -- while it serves ---------------------------------------------------------------------

    async def _serve(self) -> None:
        worker = self._worker
        next_tick = 0.0
        sweep = self._sweep
        counts = worker.cfg.max_requests > 0
        while worker.is_stopped or worker.alive or not worker.may_leave():
            now = self._loop.time()
            if now >= next_tick:
                next_tick = now + _TICK_S
                self._tick(now)
            if sweep.limits_requests:
                sweep.end_late(time.monotonic_ns())
            if counts:
                worker.count_requests(self._core.requests)
            is_urgent = sweep.limits_requests or counts or not worker.alive
            await self._pause(LOOK_S if is_urgent else next_tick - now)

    def _set_timeout(self, transport: asyncio.BaseTransport, seconds: float) -> None:
        """Have the request in flight on a connection end in time; called by its application."""
        self._sweep.set_timeout(
            cast("Connection | None", cast("asyncio.Transport", transport).get_protocol()), seconds
        )
        self._loop.call_soon_threadsafe(self._news.set)

    async def _pause(self, seconds: float) -> None:
        """Wait for a signal, or so long."""
        timer = self._loop.call_later(seconds, self._news.set)
        await self._news.wait()
        timer.cancel()
        self._news.clear()

    def _wake(self) -> None:
        if self._worker.wakeup is not None:
            self._worker.wakeup.drain()
        self._news.set()
        if not self._worker.is_stopped:
            return
        if self._worker.take_stop():
            # The call that was interrupted passes that on when it has cleaned up, if it does.
            self._loop.call_later(_MOMENT_S, self._hurry)
        else:
            self._hurry()

    def _tick(self, now: float) -> None:
        """Do what is due about once a second."""
        worker = self._worker
        worker.notify()
        self._core.tick(now)
        worker.count_requests(self._core.requests)
        count_connections(worker.slot, len(self._intake))
        self._core.closing = not worker.alive or worker.scoreboard.lame_duck
        worker.look_for_arbiter()
        if self._is_sent_away():
            worker.alive = False  # the application may have put a handler of its own on TERM
        self._sweep.look(now)
        self._write_log()

    def _write_log_soon(self) -> None:
        """Write the log once this turn of the loop is over."""
        if not self._is_log_due:
            self._is_log_due = True
            self._loop.call_soon(self._write_log)

    def _write_log(self) -> None:
        """Write the access log's lines so far."""
        self._is_log_due = False
        if self._access is not None:
            lines = self._core.drain_log()
            if lines:
                self._access.write(lines)

    # -- the end -----------------------------------------------------------------------------

    def _time_left(self) -> float:
        worker = self._worker
        if self._ending.hurries:
            return max(0.0, self._ending.left() - _REST_S)
        if worker.told_to_leave is None:
            return float(worker.cfg.graceful_timeout)
        # The last bit is for what comes after: the arbiter kills who is not done in time.
        end = worker.told_to_leave + _LAST * worker.cfg.graceful_timeout
        return max(0.0, end - time.monotonic())

    async def _drain(self, farewell: Farewell) -> None:
        """Leave: tell streams, answer what was received, and close what stays idle."""
        worker = self._worker
        worker.tell(News.LEAVING)
        self._core.closing = True
        told = worker.told_to_leave or time.monotonic()
        code = self._code()
        farewell.close_sockets(code, waits=True)
        ending = self._intake.leave()
        if ending:
            self._intake.empty_queues()
            await asyncio.sleep(SETTLE_S)
            self._intake.empty_queues()
        self._intake.close()
        await asyncio.sleep(0)
        await self._wait_for_answers(farewell, told, code)

    def _code(self) -> int:
        """Return how WebSockets are closed."""
        return STOP if all(map(is_ending, self._worker.sockets)) else RESTART

    async def _wait_for_answers(self, farewell: Farewell, told: float, code: int) -> None:
        worker = self._worker
        service = self._service
        until = told + PATIENCE * worker.cfg.graceful_timeout
        grace_s = min(IDLE_GRACE_S, worker.cfg.graceful_timeout / 2)
        stream_end = told + float(worker.cfg.stream_grace)
        next_tick = 0.0
        while service.connections or farewell.has_calls:
            now = time.monotonic()
            if now >= until:
                return
            # Those too that began, or were accepted, meanwhile.
            farewell.close_sockets(code, waits=now < told + grace_s)
            farewell.tell_streams()
            if self._sweep.limits_requests:
                self._sweep.end_late(time.monotonic_ns())
            if now >= stream_end:
                farewell.end_streams()
            if now >= next_tick:
                next_tick = now + _TICK_S
                self._tick(self._loop.time())
            if now >= told + grace_s:
                self._sweep.close_idle(self._loop.time() - grace_s)
            await asyncio.sleep(_BUSY_S)

    async def _end(self) -> None:
        """Have what calls there are end, then the lifespan."""
        if self._farewell is not None:
            when = "at the end of graceful_timeout"
            if self._ending.hurries:
                when = "by a quick stop"
                await self._take_quick_leave(self._farewell)
            await self._farewell.cut_off(when, self._time_left)
        await self._lifespan.stop(self._time_left)
        self._write_log()

    async def _take_quick_leave(self, farewell: Farewell) -> None:
        """Tell WebSockets and streams, and give them a moment."""
        self._core.closing = True
        self._intake.stop()
        if farewell.has_sockets:
            await self._wait_for_word()
        code = self._code()
        self._intake.leave()
        self._intake.close()
        until = time.monotonic() + _MOMENT_S
        while (farewell.has_sockets or farewell.has_streams) and time.monotonic() < until:
            farewell.close_sockets(code, waits=False)
            farewell.tell_streams()
            await asyncio.sleep(_BUSY_S)
        farewell.end_streams()

    async def _wait_for_word(self) -> None:
        """Wait until the arbiter has dealt with the listeners, if it was told to end too."""
        until = time.monotonic() + _WORD_S
        while not self._is_sent_away() and time.monotonic() < until:
            await asyncio.sleep(_BUSY_S)

    def _is_sent_away(self) -> bool:
        """Whether the arbiter has told this worker to leave, or nobody is there to tell."""
        worker = self._worker
        phase = worker.scoreboard.phase(worker.slot_index)
        return worker.is_abandoned or phase is SlotPhase.DRAINING
