"""Starts one server on a port of its own, says when it serves, and always ends it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import apps, native
from benchmarks.paths import BUILD, PROJECT, VENV_PYTHON
from benchmarks.peers import asgi_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers import Peer

START_SECONDS = 15.0
STOP_SECONDS = 10.0
PR_SET_PDEATHSIG = 1
BODY_BYTES = {"hello": len(apps.HELLO), "ten_kb": len(apps.TEN_KB)}


class StartError(RuntimeError):
    """A server did not start; the message ends with the last lines that it wrote."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where servers and load run; ``own_python`` is the interpreter with Monoceros.

    A server without ``server_cpu`` runs where the system puts it.
    """

    server_cpu: int | None = 0
    load_cpu: int = 1
    own_python: str = sys.executable

    def pin_load(self) -> None:
        """Keep this process, and so every load generator that it starts, on ``load_cpu``."""
        os.sched_setaffinity(0, {self.load_cpu})


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on ``port``; ``pid`` is the root of its processes."""

    name: str
    pid: int
    port: int


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command_line(peer: Peer, app: str, port: int, own_python: str) -> list[str]:
    """Return the arguments that start ``peer`` with one worker on ``port``."""
    raw = str(native.build("raw_epoll")) if "{raw_epoll}" in peer.command else ""
    values = {
        "app": app,
        "asgi_app": asgi_target(app),
        "port": port,
        "body": BODY_BYTES.get(app, 0),
        "own_python": own_python,
        "peer_python": VENV_PYTHON,
        "raw_epoll": raw,
    }
    return [part.format(**values) for part in peer.command]


def environment(peer: Peer) -> dict[str, str]:
    """Return the environment for ``peer``: the project's sources importable, no other settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GUNICORN_", "MONOCEROS_"))}
    kept.pop("WEB_CONCURRENCY", None)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # deployments keep their byte code
    kept["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])
    kept["PYTHONHASHSEED"] = "0"
    return {**kept, **dict(peer.environment)}


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.")
    except OSError:
        return False


def _last_lines(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    said = [line for line in lines if line.strip() and not line.startswith("==")]  # valgrind's
    return " / ".join(said[-3:])


def _await_answer(process: subprocess.Popen[bytes], port: int, log: Path, limit: float) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if process.poll() is not None:
            reason = f"ended with status {process.returncode}"
            break
        if _answers(port):
            return
        time.sleep(0.05)
    else:
        reason = f"did not answer within {limit:g} s"
    raise StartError(f"{reason}: {_last_lines(log)}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever is left of the session that it leads."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def serving(
    peer: Peer,
    app: str,
    placement: Placement,
    wrapper: tuple[str, ...] = (),
    start_seconds: float = START_SECONDS,
) -> Iterator[Server]:
    """Run ``peer`` for the length of the block, pinned to its processor; raises ``StartError``.

    ``wrapper`` goes before the command line. The server also ends when this process dies.
    """
    port = free_port()
    log = BUILD / "logs" / f"{peer.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    prctl = ctypes.CDLL(None).prctl

    def prepare() -> None:
        if placement.server_cpu is not None:
            os.sched_setaffinity(0, {placement.server_cpu})
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                [*wrapper, *command_line(peer, app, port, placement.own_python)],
                cwd=PROJECT,
                env=environment(peer),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=prepare,
            )
        except OSError as error:
            hint = f"python -m benchmarks.peers install {peer.name}"
            raise StartError(f"cannot be run: {error} (peers: {hint})") from error
    try:
        _await_answer(process, port, log, start_seconds)
        yield Server(peer.name, process.pid, port)
    finally:
        stop(process)
