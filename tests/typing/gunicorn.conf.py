"""A typed configuration file: mypy --strict has nothing to say about it."""

import os

from monoceros.typing import (
    Arbiter,
    Config,
    Environ,
    PostRequest,
    Request,
    Response,
    WhenReady,
    Worker,
)

bind = ["0.0.0.0:8000", "unix:/run/app.sock"]
workers = int(os.environ.get("APP_WORKERS", "2"))
timeout = 60


def pre_fork(server: Arbiter, worker: Worker) -> None:
    server.log.debug("Worker %d of %d", worker.age, server.num_workers)


def post_fork(server: Arbiter, worker: Worker) -> None:
    server.log.info("Worker spawned (pid: %s, id: %d)", worker.pid, find_id(server, worker))


def find_id(server: Arbiter, worker: Worker) -> int:
    """Return the lowest number that no living worker has."""
    others = [one for one in server.WORKERS.values() if one.alive and one is not worker]
    return min(set(range(len(others) + 1)) - {one.age for one in others})


def ready(server: Arbiter) -> None:
    cfg: Config = server.cfg
    places = [*cfg.bind, *(str(sock.getsockname()) for sock in server.LISTENERS)]
    server.log.info("%s listens at %s with %d s", cfg.proc_name, places, cfg.timeout)


when_ready: WhenReady = ready


def pre_request(worker: Worker, req: Request) -> None:
    worker.log.debug("%s %s?%s %r", req.method, req.path, req.query, dict(req.headers))
    req.headers.append(("X-WORKER", str(worker.age)))


def post_request(worker: Worker, req: Request, environ: Environ, resp: Response | None) -> None:
    status = resp.status_code if resp else 0
    worker.log.info("%s %s %d", environ.get("REMOTE_ADDR"), req.uri, status)


def post_request_of_three(worker: Worker, req: Request, environ: Environ) -> None:
    if worker.nr > 1:
        worker.log.info("%d", len(environ))


also: PostRequest = post_request_of_three
same: PostRequest = post_request


def nworkers_changed(server: Arbiter, new_value: int, old_value: int | None) -> None:
    server.log.info("%d instead of %s", new_value, old_value)


def worker_abort(worker: Worker) -> None:
    worker.alive = False
    worker.log.error("Worker %s hung", worker.pid)
