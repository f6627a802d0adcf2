"""What the tasks of a loop wait for: other tasks, and functions on threads.

Theory of operation. Where a coroutine waits for a future, it does not say who is to set it. But
tasks, and the futures of threads, know who is told of their end: their callbacks hold the future
that another task waits for (``gather``, ``wait``, ``wait_for``, ``shield``, an executor's), or that
task, or the group that it has opened (asyncio's or AnyIO's). So these are followed outwards. What a
task hears of by queues and events is not found (``as_completed``), nor what it started and left.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections import defaultdict
from concurrent.futures import Future
from threading import enumerate as list_threads
from threading import get_ident
from types import BuiltinMethodType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_MOST_FUTURES = 10  # between two tasks; ``shield`` in ``gather`` makes it two
_MOST_FRAMES = 1000
_GROUPS = ("asyncio.taskgroups", "anyio._backends._asyncio")
_RUNNERS = ("concurrent/futures/thread.py", "asgiref/current_thread_executor.py")
_ANYIO = "anyio/_backends/_asyncio.py"


class Job(NamedTuple):
    """A function on a thread, with its frames, the innermost first."""

    thread: str
    frames: list[FrameType]


class Waits:
    """What the tasks of a loop wait for; found out once, and to be forgotten in the same turn."""

    def __init__(self) -> None:
        # By identity: an application's classes of tasks may be equal to anything.
        self._tasks: dict[int, list[asyncio.Task[Any]]] = defaultdict(list)
        self._jobs: dict[int, list[Job]] = defaultdict(list)
        self._threads: dict[int, FrameType] = {}
        self._names: dict[int | None, str] = {}
        self._has_looked = False

    def look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Find out what there is, unless that was done; to be called before the rest."""
        if not self._has_looked:
            self._has_looked = True
            with contextlib.suppress(Exception):  # border: libraries make what they want of loops
                self._look(loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        # Without the GIL the frames may be a step ahead of their lines.
        self._threads = sys._current_frames()
        # The frames of this thread refer to this object.
        self._threads.pop(get_ident(), None)
        self._names = {thread.ident: _name(thread) for thread in list_threads()}
        for task in asyncio.all_tasks(loop):
            for waiting in _find_waiting(task):
                self._tasks[id(waiting)].append(task)
        for thread, frame in self._threads.items():
            for future, frames in _find_work(frame):
                for waiting in _find_waiting(future):
                    self._jobs[id(waiting)].append(Job(self._name_of(thread), frames))

    def tasks_of(self, task: asyncio.Task[Any]) -> list[asyncio.Task[Any]]:
        """Return the tasks that a task waits for, or that are in groups of its own, by name."""
        return sorted(self._tasks.get(id(task), []), key=_by_number)

    def jobs_of(self, task: asyncio.Task[Any], frames: list[FrameType]) -> list[Job]:
        """Return what a task has threads do; ``frames`` are its own."""
        jobs = [*self._jobs.get(id(task), [])]
        for frame in frames:
            thread = _find_anyio_thread(frame)
            if thread in self._threads:
                doing = _inside(self._threads[thread], "run", _ANYIO)
                jobs.append(Job(self._name_of(thread), doing))
        return jobs

    def _name_of(self, thread: int) -> str:
        return self._names.get(thread) or hex(thread)


def _by_number(task: asyncio.Task[Any]) -> tuple[int, str]:
    """Have Task-9 before Task-10, which was made after it."""
    name = asyncio.Task.get_name(task)
    return len(name), name


def _name(thread: Any) -> str:
    # The property may be the application's.
    return str(vars(thread).get("_name"))


# -- tasks ------------------------------------------------------------------------------------


def _find_waiting(future: Any) -> list[asyncio.Task[Any]]:
    """Return the tasks that are told when a future is done."""
    try:
        return [*_follow(future)]
    except Exception:  # border: what libraries make of futures is up to them
        return []


def _follow(future: Any) -> Iterator[asyncio.Task[Any]]:
    seen = {id(future)}
    found = [future]
    for _ in range(_MOST_FUTURES):
        if not found:
            return
        for held in _hold(found.pop()):
            if id(held) in seen:
                continue
            seen.add(id(held))
            if _is_a(held, asyncio.Task):
                yield held
            elif _is_a(held, asyncio.Future):
                found.append(held)


def _hold(future: Any) -> Iterator[Any]:
    """Yield what the callbacks of a future hold, the task that has opened it for a group."""
    for callback in _list_callbacks(future):
        for held in _look_into(callback):
            kind = type(held)
            if kind.__name__ == "TaskGroup" and kind.__module__ in _GROUPS:
                scope = getattr(held, "cancel_scope", None)
                yield getattr(held, "_parent_task", None) or getattr(scope, "_host_task", None)
            else:
                yield held


def _list_callbacks(future: Any) -> list[Any]:
    if _is_a(future, Future):
        return [*getattr(future, "_done_callbacks", ())]
    return [callback for callback, _ in getattr(future, "_callbacks", None) or ()]


def _look_into(callback: Any) -> Iterator[Any]:
    kind = type(callback)
    if kind is MethodType or kind is BuiltinMethodType:
        yield callback.__self__
    elif kind is functools.partial:
        yield from callback.args
    elif kind is FunctionType:
        for cell in callback.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # nothing is in it yet
                continue


def _is_a(thing: Any, kind: type) -> bool:
    """``isinstance`` would ask the thing itself as well, and so run what is the application's."""
    return issubclass(type(thing), kind)


# -- threads ----------------------------------------------------------------------------------


def _find_work(frame: FrameType | None) -> Iterator[tuple[Any, list[FrameType]]]:
    """Yield the futures that a thread is to set for executors, with the frames inside each."""
    inside: list[FrameType] = []
    while frame is not None and len(inside) < _MOST_FRAMES:
        if _is_code(frame, "run", _RUNNERS):
            # This frame is no older than the work: that it keeps what is read now harms nobody.
            future = getattr(frame.f_locals.get("self"), "future", None)
            if _is_a(future, Future):
                yield future, [*inside]
        inside.append(frame)
        frame = frame.f_back


def _find_anyio_thread(frame: FrameType) -> Any:
    """Return the thread that a coroutine of AnyIO's waits for, None for other coroutines."""
    # Not by way of the thread: its frame lasts, and would keep what is read for as long.
    if _is_code(frame, "run_sync_in_worker_thread", (_ANYIO,)):
        return getattr(frame.f_locals.get("worker"), "ident", None)
    return None


def _inside(frame: FrameType | None, name: str, file: str) -> list[FrameType]:
    """Return the frames inside that of a function, the innermost first."""
    inside: list[FrameType] = []
    while frame is not None and len(inside) < _MOST_FRAMES:
        if _is_code(frame, name, (file,)):
            break
        inside.append(frame)
        frame = frame.f_back
    return inside


def _is_code(frame: FrameType, name: str, files: tuple[str, ...]) -> bool:
    code = frame.f_code
    return code.co_name == name and code.co_filename.endswith(files)
