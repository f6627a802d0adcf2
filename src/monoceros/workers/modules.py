"""What a worker tells the watcher under ``reload``: the files that its code came from.

Theory of operation. All workers share one pipe to the watcher. A message is a run of lines
``TIME PATH`` of at most PIPE_BUF octets, so that the kernel never mixes two of them, and a full
pipe never holds a worker up: what was not taken is offered again at the next sign of life.
TIME tells the watcher, which meets a file for the first time, from when on a change to it is
news: the worker's boot for what the application imported there, and for what was imported
later the last look at ``sys.modules`` before.

The other direction is a few numbers in shared memory, see ``Board``.
"""

from __future__ import annotations

import importlib
import mmap
import os
import select
import struct
import sys
import time
from typing import TYPE_CHECKING

from monoceros.unpatched import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_NUMBER = struct.Struct("=Q")
_WATCHER_OFFSET = 0
_CHANGED_OFFSET = 8
_FAILED_OFFSET = 16
_END = b"\0"  # the one octet that no path has
_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120
INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Board:
    """Numbers in memory that the arbiter and the workers share.

    ``watcher`` counts the watchers there have been: a new one knows nothing and has to be told
    everything. Workers of a generation up to ``changed`` were replaced because of their code.
    The arbiter writes these two. ``failed`` is the last generation of which a worker has logged
    that the application cannot be imported.
    """

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def watcher(self) -> int:
        """The number of the present watcher, from 1."""
        return self._read(_WATCHER_OFFSET)

    @watcher.setter
    def watcher(self, number: int) -> None:
        self._write(_WATCHER_OFFSET, number)

    @property
    def changed(self) -> int:
        """The number of the last generation whose code is outdated, 0 for none."""
        return self._read(_CHANGED_OFFSET)

    @changed.setter
    def changed(self, generation: int) -> None:
        self._write(_CHANGED_OFFSET, generation)

    @property
    def failed(self) -> int:
        """The number of the last generation whose failure is in the log, 0 for none."""
        return self._read(_FAILED_OFFSET)

    @failed.setter
    def failed(self, generation: int) -> None:
        self._write(_FAILED_OFFSET, generation)

    def _write(self, offset: int, number: int) -> None:
        _NUMBER.pack_into(self._map, offset, number)

    def _read(self, offset: int) -> int:
        (number,) = _NUMBER.unpack_from(self._map, offset)
        return int(number)


class Modules:
    """The files of one worker's modules, on their way to the watcher."""

    def __init__(self, pipe: int, board: Board, generation: int) -> None:
        """Take the write end of the pipe; it does not block and belongs to the arbiter."""
        self._pipe = pipe
        self._board = board
        self._generation = generation
        self._watcher = 0
        self._known: dict[str, int] = {}  # when the file may have been read first
        self._pending: list[str] = []
        self._count = 0  # of sys.modules at the last look
        self._looked_ns = 0

    def begin(self) -> None:
        """Note the time, in the worker before it imports anything."""
        self._looked_ns = time.time_ns()
        # Byte code is matched to its source by the second of its change and by its size. Two
        # edits within one second can have both in common, and what is cached between them
        # would hide the second: nothing is cached by us, and of what others have cached the
        # watcher removes what belongs to a file that changed.
        sys.dont_write_bytecode = True
        # The arbiter's view of folders is inherited, and may be from before the change.
        importlib.invalidate_caches()

    def was_replaced(self) -> bool:
        """Whether this worker is leaving because its code has changed."""
        return self._board.changed >= self._generation

    def report(self) -> None:
        """Tell what the watcher does not know yet, as far as the pipe takes it; never blocks."""
        watcher = self._board.watcher
        if watcher != self._watcher:
            self._watcher = watcher
            self._pending = list(self._known)
        if len(sys.modules) != self._count:
            self._look()
        if self._pending:
            self._send()

    def add_failure(self, error: BaseException) -> bool:
        """Add the files behind an import that failed, which ``sys.modules`` does not have.

        Whether it is news, because no worker of this generation has come here before.
        """
        self._add(list(failed_files(error)))
        is_news = self._board.failed != self._generation
        self._board.failed = self._generation
        return is_news

    def _look(self) -> None:
        began, modules = time.time_ns(), sys.modules.copy()
        self._count = len(modules)
        # The application's own files first: it is those that change.
        files = sorted(set(module_files(list(modules.values()))), key=is_installed)
        self._add(files)
        self._looked_ns = began

    def _add(self, paths: list[str]) -> None:
        for path in paths:
            if path not in self._known:
                self._known[path] = self._looked_ns
                self._pending.append(path)

    def _send(self) -> None:
        lines = [encode(self._known[path], path) for path in self._pending]
        sent = 0
        while sent < len(lines):
            message, taken = lines[sent], 1
            while sent + taken < len(lines):
                following = lines[sent + taken]
                if len(message) + len(following) > select.PIPE_BUF:
                    break
                message += following
                taken += 1
            # A path too long for one message is not watched.
            if len(message) <= select.PIPE_BUF and not self._write(message):
                break
            sent += taken
        del self._pending[:sent]

    def _write(self, message: bytes) -> bool:
        try:
            write(self._pipe, message)
        except (BlockingIOError, BrokenPipeError):
            return False
        return True


def encode(since_ns: int, path: str) -> bytes:
    """Return one line of a message."""
    return b"%d " % since_ns + os.fsencode(path) + _END


def decode(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield time and path of each line in whole messages."""
    for line in data.split(_END)[:-1]:
        since, _, path = line.partition(b" ")
        yield int(since), os.fsdecode(path)


def module_files(modules: list[object]) -> Iterator[str]:
    """Yield the source or extension file of each module, leaving out the standard library."""
    for module in modules:
        try:
            # Not getattr: that would make lazy modules load.
            file = object.__getattribute__(module, "__dict__").get("__file__")
        except (AttributeError, TypeError):
            continue
        if isinstance(file, str) and file:
            path = source_of(file)
            if is_installed(path) or not path.startswith(_LIBRARY):
                yield path


def source_of(file: str) -> str:
    """Return the absolute path of what a module is edited in."""
    path = os.path.abspath(file)  # noqa: PTH100
    if not path.endswith(".pyc"):
        return path
    from importlib.util import source_from_cache

    try:
        return source_from_cache(path)
    except ValueError:
        return path[:-1]  # byte code in the place of its source


def is_installed(path: str) -> bool:
    """Whether a file belongs to an installed package and will hardly ever change."""
    return any(part in path for part in INSTALLED)


def failed_files(error: BaseException) -> Iterator[str]:
    """Yield the files whose change may mend an import that failed, there or not yet there."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += (one.__cause__, one.__context__)
        yield from _traceback_files(one.__traceback__)
        yield from _named_files(one)


def _traceback_files(frames: TracebackType | None) -> Iterator[str]:
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        path = os.path.abspath(file)  # noqa: PTH100
        if not file.startswith("<") and (is_installed(path) or not path.startswith(_LIBRARY)):
            yield path
        frames = frames.tb_next


def _named_files(error: BaseException) -> Iterator[str]:
    if isinstance(error, ModuleNotFoundError) and error.name:
        yield from _missing_files(error.name)
        return
    named: object = None
    if isinstance(error, (SyntaxError, OSError)):
        named = error.filename
    elif isinstance(error, ImportError):
        named = error.path
    if isinstance(named, str) and named and not named.startswith("<"):
        yield os.path.abspath(named)  # noqa: PTH100


def _missing_files(name: str) -> Iterator[str]:
    """Yield where a module that was not found would be."""
    parent, _, last = name.rpartition(".")
    if parent:  # noqa: SIM108
        folders = list(getattr(sys.modules.get(parent), "__path__", ()))
    else:
        folders = sys.path
    for folder in folders:
        if not folder.startswith(_LIBRARY) and not is_installed(folder + os.sep):
            path = os.path.join(os.path.abspath(folder), last)  # noqa: PTH100, PTH118
            yield path + ".py"
            yield os.path.join(path, "__init__.py")  # noqa: PTH118
