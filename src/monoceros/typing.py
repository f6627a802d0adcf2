"""Types for configuration files: what hooks are called with, and the hooks themselves.

    from monoceros.typing import Arbiter, Worker

    def post_fork(server: Arbiter, worker: Worker) -> None:
        server.log.info("Worker %s is there", worker.pid)

``Arbiter``, ``Worker``, ``Request`` and ``Response`` are protocols: they have what hooks may rely
on, under Gunicorn's names. Each hook has an alias of its name in capitals, such as ``PostFork``.
Importing this module loads nothing of the server.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence
    from ssl import SSLContext

    from monoceros.config import Config as Config

__all__ = [
    "Application",
    "Arbiter",
    "ChildExit",
    "Config",
    "Environ",
    "Logger",
    "NworkersChanged",
    "OnExit",
    "OnReload",
    "OnStarting",
    "PostFork",
    "PostRequest",
    "PostWorkerInit",
    "PreExec",
    "PreFork",
    "PreRequest",
    "Request",
    "Response",
    "SslContext",
    "WhenReady",
    "Worker",
    "WorkerAbort",
    "WorkerExit",
    "WorkerInt",
]

Environ: TypeAlias = dict[str, Any]
Address: TypeAlias = tuple[str, int] | str  # host and port, or the path of a unix socket


class Logger(Protocol):
    """The error log; messages are formatted with ``%``."""

    def critical(self, msg: str, *args: object) -> None: ...
    def error(self, msg: str, *args: object) -> None: ...
    def warning(self, msg: str, *args: object) -> None: ...
    def info(self, msg: str, *args: object) -> None: ...
    def debug(self, msg: str, *args: object) -> None: ...
    def exception(self, msg: str, *args: object) -> None: ...


class Application(Protocol):
    """The application of a worker or of the arbiter."""

    @property
    def callable(self) -> Callable[..., Any] | None:
        """What is called for each request; None until it was imported."""

    def wsgi(self) -> Callable[..., Any]:
        """Return it, imported now if it was not."""


class Worker(Protocol):
    """A worker, as seen from both sides of its fork."""

    alive: bool

    @property
    def pid(self) -> int | str:
        """The process id; ``"[booting]"`` before the fork."""

    @property
    def ppid(self) -> int:
        """The process id of the arbiter."""

    @property
    def age(self) -> int:
        """The number of this worker, counted from the start of the server."""

    @property
    def nr(self) -> int:
        """How many requests it has served."""

    @property
    def max_requests(self) -> int:
        """After how many requests it will be replaced."""

    @property
    def timeout(self) -> float:
        """How long it waits for connections at most, in seconds."""

    @property
    def booted(self) -> bool:
        """Whether the application is loaded and the loop runs."""

    @property
    def aborted(self) -> bool:
        """Whether the timeout has struck."""

    @property
    def app(self) -> Application:
        """The application, perhaps not imported yet."""

    @property
    def wsgi(self) -> Callable[..., Any] | None:
        """The application's callable; None until it was imported."""

    @property
    def cfg(self) -> Config:
        """The configuration of this worker."""

    @property
    def log(self) -> Logger:
        """The error log."""

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """The listening sockets."""


class Arbiter(Protocol):
    """The parent process of all workers."""

    num_workers: int

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def cfg(self) -> Config:
        """The configuration in force."""

    @property
    def log(self) -> Logger:
        """The error log."""

    @property
    def app(self) -> Application:
        """The application; imported here only with ``preload_app``."""

    @property
    def address(self) -> Sequence[Address | int]:
        """Where the server was asked to listen; a number is a descriptor that it was given."""

    @property
    def timeout(self) -> int:
        """The setting ``timeout``, in seconds."""

    @property
    def proc_name(self) -> str:
        """The name in process titles."""

    @property
    def worker_age(self) -> int:
        """How many workers were ever started."""

    @property
    def master_pid(self) -> int:
        """The process id of the server that this one is to replace, else 0."""

    @property
    def reexec_pid(self) -> int:
        """The process id of the server that is to replace this one, else 0."""

    @property
    def systemd(self) -> bool:
        """Whether the sockets come from systemd."""

    @property
    def WORKERS(self) -> Mapping[int, Worker]:
        """The workers by process id."""

    @property
    def LISTENERS(self) -> Sequence[socket.socket]:
        """The listening sockets."""


class Request(Protocol):
    """The head of a request, and its body as a stream.

    ``headers`` has names in capitals with their values; ``pre_request`` may change it.
    """

    headers: list[tuple[str, str]]

    @property
    def method(self) -> str: ...
    @property
    def uri(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def fragment(self) -> str: ...
    @property
    def version(self) -> tuple[int, int]: ...
    @property
    def trailers(self) -> Sequence[tuple[str, str]]: ...
    @property
    def scheme(self) -> str: ...
    @property
    def body(self) -> Any: ...
    @property
    def remote_addr(self) -> Address | bytes: ...
    @property
    def peer_addr(self) -> Address | bytes: ...
    @property
    def proxy_protocol_info(self) -> Mapping[str, object] | None: ...
    @property
    def req_number(self) -> int:
        """Which request of its connection it is, counted from 1."""


class Response(Protocol):
    """What was answered."""

    @property
    def status(self) -> str:
        """Code and reason, such as ``200 OK``."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, str]]: ...
    @property
    def headers_sent(self) -> bool: ...
    @property
    def response_length(self) -> int | None:
        """The length of the body as the application announced it, in bytes."""

    @property
    def sent(self) -> int:
        """How many bytes of the body went out."""

    @property
    def chunked(self) -> bool: ...


NworkersChanged: TypeAlias = Callable[[Arbiter, int, "int | None"], object]
OnStarting: TypeAlias = Callable[[Arbiter], object]
WhenReady: TypeAlias = Callable[[Arbiter], object]
PreFork: TypeAlias = Callable[[Arbiter, Worker], object]
PostFork: TypeAlias = Callable[[Arbiter, Worker], object]
PostWorkerInit: TypeAlias = Callable[[Worker], object]
PreRequest: TypeAlias = Callable[[Worker, Request], object]
PostRequest: TypeAlias = (
    Callable[[Worker, Request, Environ, "Response | None"], object]
    | Callable[[Worker, Request, Environ], object]
    | Callable[[Worker, Request], object]
)
WorkerInt: TypeAlias = Callable[[Worker], object]
WorkerAbort: TypeAlias = Callable[[Worker], object]
WorkerExit: TypeAlias = Callable[[Arbiter, Worker], object]
ChildExit: TypeAlias = Callable[[Arbiter, Worker], object]
OnReload: TypeAlias = Callable[[Arbiter], object]
PreExec: TypeAlias = Callable[[Arbiter], object]
OnExit: TypeAlias = Callable[[Arbiter], object]
SslContext: TypeAlias = Callable[["Config", Callable[[], "SSLContext"]], "SSLContext"]


def __getattr__(name: str) -> object:
    # The one class here that is no protocol; whoever runs a configuration file has it loaded.
    if name == "Config":
        return importlib.import_module("monoceros.config").Config
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
