"""Which worker an application gets where nobody has chosen one, and the lifespan's part in that."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.process.conftest import APP, WORKER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(bool(WORKER), reason="the class is chosen from outside"),
]

ASGI = """\
import asyncio, os
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        {start}
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        os.write(2, b"stopped %d\\n" % os.getpid())
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    if scope["path"].startswith("/sleep/"):
        await asyncio.sleep(float(scope["path"].rpartition("/")[2]))
    body = b"asgi" + repr(scope.get("state")).encode()
    fields = [(b"content-length", b"%d" % len(body))]
    await send({{"type": "http.response.start", "status": 200, "headers": fields}})
    await send({{"type": "http.response.body", "body": body}})
"""
CHOSEN = r"\[INFO\] Using worker: asgi, because the application is an ASGI one$"


def asgi(start: str = "pass") -> dict[str, str]:
    """Return the files of an application that does that when it starts."""
    return {"app.py": ASGI.format(start=start)}


def test_an_asgi_application_gets_the_asgi_worker(server: Callable[..., Server]) -> None:
    srv = server("-w", "2", "app:app", files=asgi("scope['state']['pool'] = 7"))
    pids = srv.wait_workers(2)

    assert srv.get("/").body == b"asgi{'pool': 7}"
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count(r"Using worker: sync$") == 1
    assert srv.count(CHOSEN) == 1
    for pid in pids:
        assert srv.count(f"^stopped {pid}$") == 1


def test_threads_are_not_for_it(server: Callable[..., Server]) -> None:
    srv = server("--threads", "4", "app:app", files=asgi())

    srv.wait_for(r"Using worker: gthread$")
    srv.wait_for(CHOSEN.replace("one$", "one; threads does not apply$"))
    assert srv.get("/").body.startswith(b"asgi")


def test_a_preloaded_application(server: Callable[..., Server]) -> None:
    srv = server("-w", "2", "--preload", "app:app", files=asgi())
    srv.wait_workers(2)

    assert srv.get("/").body.startswith(b"asgi")
    assert srv.count(CHOSEN) == 1


@pytest.mark.parametrize("chosen", ["sync", "gthread"])
def test_a_class_for_wsgi_that_was_chosen(chosen: str, server: Callable[..., Server]) -> None:
    srv = server("-k", chosen, "app:app", files=asgi(), listening=False)

    srv.wait_for(r"'app:app' is an ASGI application, and this worker class serves WSGI .* only")
    assert srv.wait() == 4


def test_a_wsgi_application_on_the_asgi_worker(server: Callable[..., Server]) -> None:
    srv = server("-k", "asgi", "app:app", files={"app.py": APP}, listening=False)

    srv.wait_for(r"'app:app' is a WSGI application, and this worker class serves ASGI .* only")
    assert srv.wait() == 4


def test_reloads_from_one_interface_to_the_other(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("-w", "2", "app:app", files={"app.py": APP})
    for number, (source, body) in enumerate(((asgi()["app.py"], b"asgi"), (APP, b"hello")), 1):
        old = srv.wait_workers(2)
        (tmp_path / "app.py").write_text(source)
        srv.signal(signal.SIGHUP)
        srv.wait_for("Reloaded: 2 new workers", number)
        srv.wait_until(lambda old=old: not any(map(srv.owns, old)) or None)  # type: ignore[misc]
        assert srv.get("/").body.startswith(body)


@pytest.mark.slow
def test_a_call_may_take_longer_than_timeout(server: Callable[..., Server]) -> None:
    srv = server("--timeout", "1", "app:app", files=asgi())
    (pid,) = srv.wait_workers(1)

    # The silence of a whole process is looked at after three seconds.
    assert srv.get("/sleep/4.5").body.startswith(b"asgi")
    assert srv.owns(pid)
    assert srv.count("WORKER TIMEOUT") == 0


@pytest.mark.parametrize("options", [(), ("-k", "asgi")])
def test_a_failed_start_ends_the_server(
    options: tuple[str, ...], server: Callable[..., Server]
) -> None:
    refusal = 'return await send({"type": "lifespan.startup.failed", "message": "no pool"})'
    srv = server(*options, "app:app", files=asgi(refusal), listening=False)

    srv.wait_for(r"\[ERROR\] The application failed to start: no pool$")
    assert srv.wait() == 3
    assert srv.count("Reason: Worker failed to boot") == 1


def test_a_start_that_raises(server: Callable[..., Server]) -> None:
    srv = server("app:app", files=asgi("raise OSError('no pool')"))
    srv.wait_workers(1)
    srv.wait_for(r"\[WARNING\] The application raised an exception at lifespan.startup: goes with")
    srv.wait_for("^OSError: no pool$")

    assert srv.get("/").status == 200


def test_a_start_that_raises_where_it_has_to_succeed(server: Callable[..., Server]) -> None:
    options = ("--asgi-lifespan", "on", "app:app")
    srv = server(*options, files=asgi("raise OSError('no pool')"), listening=False)

    srv.wait_for("^OSError: no pool$")
    assert srv.wait() == 3


def test_a_failed_start_after_a_reload_keeps_the_old_workers(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    srv = server("app:app", files=asgi("scope['state']['pool'] = 7"))
    (pid,) = srv.wait_workers(1)
    refusal = 'return await send({"type": "lifespan.startup.failed", "message": "no pool"})'
    (tmp_path / "app.py").write_text(asgi(refusal)["app.py"])
    srv.signal(signal.SIGHUP)

    srv.wait_for("Reload given up, the old workers keep serving")
    assert srv.owns(pid)
    assert srv.get("/").body == b"asgi{'pool': 7}"


def test_a_start_that_takes_long_is_bounded_by_boot_timeout(server: Callable[..., Server]) -> None:
    start = r"os.write(2, b'starting\n'); await asyncio.sleep(60)"
    srv = server("--boot-timeout", "1", "app:app", files=asgi(start))

    srv.wait_for("^starting$")
    srv.wait_for(r"WORKER TIMEOUT .* not ready after 1\.\ds \(boot_timeout\)")


def test_a_stop_in_the_midst_of_the_start(server: Callable[..., Server]) -> None:
    start = r"os.write(2, b'starting\n'); await asyncio.sleep(60)"
    srv = server("app:app", files=asgi(start))
    srv.wait_for("^starting$")
    srv.signal(signal.SIGTERM)

    assert srv.wait() == 0
    assert srv.count("ERROR") == 0


@pytest.mark.parametrize("options", [(), ("-k", "asgi", "--asgi-lifespan", "on")])
def test_an_application_that_cannot_be_imported_under_reload(
    options: tuple[str, ...], server: Callable[..., Server], tmp_path: Path
) -> None:
    files = {"app.py": "raise OSError('no import')\n"}
    srv = server("--reload", *options, "app:app", files=files)
    srv.wait_workers(1)
    broken = srv.get("/")
    assert broken.status == 500
    assert b"OSError: no import" in broken.body

    (tmp_path / "app.py").write_text(asgi()["app.py"])
    srv.wait_for("Reloaded: 1 new worker is ready")
    srv.wait_until(lambda: srv.get("/").body.startswith(b"asgi") or None)


@pytest.mark.parametrize(
    "name", ["uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornH11Worker"]
)
def test_names_of_uvicorn_where_it_is_not_installed(
    name: str, server: Callable[..., Server]
) -> None:
    conf = f"import sys\nsys.modules[{name.partition('.')[0]!r}] = None\n"
    srv = server("-k", name, "app:app", files={**asgi(), "gunicorn.conf.py": conf})
    srv.wait_workers(1)

    assert srv.get("/").body.startswith(b"asgi")
    assert srv.count(rf"\[INFO\] {name} is not installed; its place is taken by the worker") == 1
    assert srv.count(r"\[INFO\] Using worker: asgi$") == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_ends_the_lifespan_too(signum: int, server: Callable[..., Server]) -> None:
    srv = server("app:app", files=asgi())
    (pid,) = srv.wait_workers(1)
    srv.signal(signum)

    assert srv.wait() == 0
    assert srv.count(f"^stopped {pid}$") == 1


def test_a_worker_that_is_killed_is_replaced_by_one_like_it(
    server: Callable[..., Server],
) -> None:
    srv = server("app:app", files=asgi())
    (pid,) = srv.wait_workers(1)
    os.kill(pid, signal.SIGKILL)
    srv.wait_until(lambda: srv.workers() - {pid} or None)

    assert srv.get("/").body.startswith(b"asgi")
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert srv.count(CHOSEN) == 1
