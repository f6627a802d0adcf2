"""One WebSocket of an ASGI worker: RFC 6455 towards the client, ASGI 3 towards the application.

Theory of operation. The loop calls ``feed``; the ``Intake`` makes messages of the octets, and puts
them into its ``Inbox``, from which the application's ``receive`` takes them. What the application
sends leaves at once by the ``Outlet``, whose ``send`` waits while the client takes less than that.
Before there are messages, the ``Opening`` answers the handshake; how everything ends is up to the
``Link``. No connection has timers of its own while it lasts: the worker calls ``tick``.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any

from monoceros.asgi import frames
from monoceros.asgi.errors import ClientDisconnected
from monoceros.asgi.loops import task_options
from monoceros.asgi.service import comes_of_absence
from monoceros.asgi.websocket_deflate import Deflater, Inflater
from monoceros.asgi.websocket_events import read_close, turn_scope, unexpected
from monoceros.asgi.websocket_intake import Intake
from monoceros.asgi.websocket_link import CONNECTING, DENYING, LEAVING, OPEN, Link
from monoceros.asgi.websocket_opening import Opening
from monoceros.asgi.websocket_outlet import Outlet
from monoceros.errors import StopWorker

if TYPE_CHECKING:
    from monoceros.asgi.types import AsgiApp, Event
    from monoceros.asgi.websocket_support import Watcher, WebSocketSettings
    from monoceros.http.types import Exchange


def _do_nothing(*_: object) -> None:
    pass


class WebSocket:
    """Calls the application for one WebSocket.

    ``task`` is that call while it lasts. The connection may go on for a while when the call is
    over, or when the handshake was refused, and still wants ``tick`` then.
    """

    __slots__ = (
        "__weakref__",
        "_app",
        "_has_closed",
        "_inbox",
        "_intake",
        "_is_over",
        "_link",
        "_log",
        "_loop",
        "_opening",
        "_outlet",
        "_settings",
        "_watcher",
        "exchange",
        "task",
    )

    def __init__(
        self,
        app: AsgiApp,
        exchange: Exchange,
        transport: asyncio.Transport,
        settings: WebSocketSettings,
        log: Any,
        *,
        loop: asyncio.AbstractEventLoop,
        watcher: Watcher,
    ) -> None:
        self._app = app
        self.exchange = exchange
        self._settings = settings
        self._log = log
        self._loop = loop
        self._watcher = watcher
        self.task: asyncio.Task[None] | None = None
        self._link = Link(transport, loop, settings)
        self._opening: Opening | None = None  # from the beginning until it has accepted
        self._outlet = Outlet(self._link, loop, self._take_event)
        size = settings.max_message_size
        self._intake = Intake(self._link, loop, size, self._outlet, self._end)
        self._inbox = self._intake.inbox
        self._has_closed = False  # the application has
        self._is_over = False  # nothing more will be sent

    # -- what the connection calls -------------------------------------------------------------

    def begin(self, rest: bytes) -> None:
        """Judge the handshake, and refuse it or call the application.

        ``rest`` is what has come behind the head of its request.
        """
        opening = self._opening = Opening(self.exchange, self._link)
        try:
            self._watcher.begun(self)
        except StopWorker:
            raise
        except BaseException as error:  # border: a hook is the user's code
            self._conclude(frames.INTERNAL_ERROR, error)
            self._let_go()
            return
        subprotocols = opening.judge(compress=self._settings.per_message_deflate)
        if subprotocols is None:
            self._let_go()
            return
        if rest:
            self.feed(rest)
        task = asyncio.Task(self._run(subprotocols), **task_options(self._loop))
        if not task.done():
            self.task = task

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        self._intake.feed(data)

    def eof(self) -> None:
        """Hear that the client sends nothing more; what has come before is still read."""
        if self._link.state != DENYING:
            self._link.end_with_client()
            self._end(frames.ABNORMAL, "")

    def connection_lost(self, error: Exception | None) -> None:
        """Hear that the connection is gone."""
        self._link.lose()
        self._end(frames.ABNORMAL, "")

    def pause_writing(self) -> None:
        """Have the application wait."""
        self._outlet.pause()

    def resume_writing(self) -> None:
        """Let the application go on."""
        self._outlet.resume()

    def shut_down(self, code: int, *, waits: bool = False) -> None:
        """Close at once, as the worker leaves.

        Who is not accepted yet gets a 503, or may be accepted if this ``waits``.
        """
        if self._link.state == OPEN:
            self._close(code, "")
        elif self._link.state == CONNECTING and not waits:
            self.end_early(503, code)

    def end_early(self, status: int, code: int = frames.ABNORMAL) -> None:
        """Answer a handshake in the application's place, or cut the denial that it has begun.

        Once it has answered, nothing happens.
        """
        if self._opening is not None and self.is_unanswered:
            self._opening.give_up(status)
            self._end(code, "")

    def tick(self, now: float) -> None:
        """Do what is due by ``now``, in the loop's time; to be called about once a second."""
        reason = self._link.tick(now)
        if reason:
            self._end(frames.ABNORMAL, reason)

    @property
    def is_unanswered(self) -> bool:
        """Whether the client waits for the answer to its handshake, or for the rest of it."""
        return self._link.state < OPEN

    @property
    def sent(self) -> int:
        """Octets of messages, or of the response that denies, as they went out."""
        return self.exchange.sent + self._outlet.sent

    # -- what the application sends ------------------------------------------------------------

    def _take_event(self, kind: str, event: Event) -> None:
        """Take what is no message, or comes when none can be sent."""
        if self._has_closed:
            raise RuntimeError(f"the application sent {kind!r} after it had closed the WebSocket")
        if self._is_gone():
            raise ClientDisconnected("the WebSocket is closed")
        if self._opening is not None:
            self._answer(self._opening, kind, event)
        elif kind == "websocket.close":
            code, reason = read_close(event)
            self._has_closed = True
            self._inbox.clear()
            self._close(code, reason)
        else:
            raise unexpected(kind, "websocket.send or websocket.close")

    def _answer(self, opening: Opening, kind: str, event: Event) -> None:
        """Take a part of the answer to the handshake."""
        if kind == "websocket.accept" and opening.is_awaited:
            agreement = opening.accept(event)
            self._opening = None
            if agreement is not None:
                self._outlet.deflater = Deflater(agreement)
            self._intake.open(None if agreement is None else Inflater(agreement))
            return
        if kind == "websocket.close" and opening.is_awaited:
            opening.answer(403)
        else:
            opening.deny(kind, event)
        if self._link.state == LEAVING:
            self._has_closed = opening.is_complete
            self._end(frames.ABNORMAL, "")

    # -- the call ------------------------------------------------------------------------------

    async def _run(self, subprotocols: list[str]) -> None:
        """Call the application; how it ends decides how the WebSocket does."""
        scope = self.exchange.scope
        turn_scope(scope, subprotocols)
        try:
            await self._app(scope, self._inbox.receive, self._outlet.send)
        except asyncio.CancelledError:
            self._conclude(frames.INTERNAL_ERROR, None)
        except (StopWorker, GeneratorExit):
            raise
        except BaseException as error:  # border: whatever an application raises ends its call
            self._conclude(frames.INTERNAL_ERROR, error)
        else:
            self._conclude(frames.NORMAL, None)
        self._let_go()

    def _conclude(self, code: int, error: BaseException | None) -> None:
        """Do what the application has left undone, which is not its fault as the worker ends."""
        leaving = self._watcher.leaving if error is None else 0
        if not leaving:
            self._report(error)
        if self._link.state == OPEN:
            self._close(leaving or code, "")
        else:
            self.end_early(503 if leaving else 500)

    def _report(self, error: BaseException | None) -> None:
        """Log what an application raised, unless it is about its client's absence."""
        line = ascii(self.exchange.line.decode("latin-1"))[1:-1]
        if error is not None:
            if not (self._is_gone() and comes_of_absence(error)):
                self._log.error("Error handling WebSocket %s", line, exc_info=error)
        elif self.is_unanswered:
            self._log.error("Error handling WebSocket %s: the application ended too early", line)

    def _is_gone(self) -> bool:
        """Whether nobody takes what the application sends."""
        return self._link.state > OPEN or self._link.transport.is_closing()

    def _close(self, code: int, reason: str) -> None:
        self._link.close(code, reason)
        self._intake.go_on()
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        """Tell all who are concerned how it ends."""
        self._inbox.end(code, reason)
        self._outlet.wake()
        # What goes on after a close of the application's own is nothing to its client.
        if not (self._is_over or self._has_closed):
            self._judge_later()
        self._say_that_it_is_over()

    def _say_that_it_is_over(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._watcher.closed(self)

    def _judge_later(self) -> None:
        """Have a call cancelled that does not end soon by itself.

        Nothing of one that does is kept for so long.
        """
        grace_s = self._settings.disconnect_grace
        self._loop.call_later(grace_s, _judge, weakref.ref(self), self._inbox.waiting)

    def judge(self, waiting: int) -> None:
        """Cancel a call that is still there, and has taken none of so many events that waited.

        What has come before the end is the application's, which has not heard of the end so far.
        Who ends the worker cancels calls himself, and once.
        """
        if self._inbox.waiting < waiting:
            self._judge_later()
        elif self.task is not None and not self._watcher.leaving:
            self.task.cancel()

    def _let_go(self) -> None:
        """Say that the call is over, and refer to nobody who refers to this."""
        self._say_that_it_is_over()
        self._inbox.has_room = self._intake.end = self._outlet.take_other = _do_nothing
        self.task = None
        self._watcher.ended(self)


def _judge(found: weakref.ref[WebSocket], waiting: int) -> None:
    socket = found()
    if socket is not None:
        socket.judge(waiting)
