"""The ``asgi`` worker: applications that await, in an event loop of asyncio's or uvloop's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.workers.supervised import SupervisedWorker

if TYPE_CHECKING:
    from monoceros.config import Config
    from monoceros.log.logger import Logger

# Settings of calls that have a thread to themselves, and of content that waits for one.
_FOR_WSGI = (
    *("threads", "queue_timeout", "max_queue", "request_buffering"),
    *("body_memory_limit", "body_spool_limit", "tmp_upload_dir", "sendfile"),
)
_MOST_RECORDS = 1000  # each is 704 octets, and looked at when the worker has gone


class ASGIWorker(SupervisedWorker):
    """Serves an ASGI application, as many requests at a time as there are connections."""

    serves_asgi = True
    is_ready_to_run = True

    @classmethod
    def setup(cls) -> None:
        """Import all that a worker needs: once for all, and while files can still be read."""
        import monoceros.workers.asgi.serving  # noqa: F401

    @classmethod
    def check_config(cls, cfg: Config, log: Logger) -> None:
        """Say which settings that were given have no effect."""
        super().check_config(cfg, log)
        given = [name for name in _FOR_WSGI if cfg.is_given(name)]
        if given:
            log.info("Not looked at by the worker class asgi: %s", ", ".join(given))

    @classmethod
    def count_records(cls, cfg: Config) -> int:
        """One for each request in flight; more than that are served like others."""
        return min(cfg.worker_connections, _MOST_RECORDS) + 1

    @classmethod
    def describe(cls, cfg: Config) -> str:
        """Name the HTTP twin and why it is the one."""
        from monoceros.http import IMPL, IMPL_REASON

        return f"http {IMPL}, {IMPL_REASON}"

    def run(self) -> None:
        """Serve until asked to leave, then finish what has been received."""
        serve(self)


def serve(worker: SupervisedWorker) -> None:
    """Serve the ASGI application of a worker, whichever its class."""
    from monoceros.asgi.loops import Ending, run
    from monoceros.workers.asgi.serving import Serving

    ending = Ending()

    async def main() -> None:
        await Serving(worker, ending).main()

    worker.heed_stop()
    if worker.wakeup is not None:
        # Not later: loops put a descriptor of their own there, by which they hear of signals that
        # applications have handlers for.
        worker.wakeup.claim()
    run(main, worker.cfg.asgi_loop, ending)
