"""The command lines of tutorials, and a program that runs one where nobody has its port.

    python -m tests.packaging.tutorials FOLDER PATH LINE WORKERS

runs the line in a folder with a search path for programs, asks for a page once all workers were
started, ends the server, and prints what it saw as an object in JSON.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from typing import NamedTuple

ADDRESS = ("127.0.0.1", 8000)
SECONDS = 30  # for everything together

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


class Tutorial(NamedTuple):
    """A command line, what it comes to, and packages that it needs."""

    line: str
    worker: str = "sync"
    workers: int = 1
    listening: str = "http://127.0.0.1:8000"
    needs: tuple[str, ...] = ()


TUTORIALS = (
    Tutorial("gunicorn myproject.wsgi:application"),
    Tutorial("gunicorn myproject.wsgi"),
    Tutorial(
        "gunicorn --workers 3 --bind 0.0.0.0:8000 myproject.wsgi:application",
        workers=3,
        listening="http://0.0.0.0:8000",
    ),
    Tutorial(
        "gunicorn -c gunicorn.conf.py myproject.wsgi:application",
        workers=2,
        listening="http://0.0.0.0:8000",
    ),
    Tutorial("gunicorn -k gthread --threads 4 myproject.wsgi:application", "gthread"),
    Tutorial("gunicorn -k gevent myproject.wsgi:application", "gevent", needs=("gevent",)),
    Tutorial("gunicorn -k eventlet myproject.wsgi:application", "eventlet", needs=("eventlet",)),
    Tutorial("python -m gunicorn myproject.wsgi:application"),
    Tutorial("python -m gunicorn.app.wsgiapp myproject.wsgi:application"),
)


def raise_loopback() -> None:
    """Bring up the loopback device of a network namespace that is new."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def watch(server: subprocess.Popen[str], workers: int) -> list[str]:
    """Return the lines of the log until so many workers were started."""
    assert server.stderr
    lines = []
    for line in iter(server.stderr.readline, ""):
        lines.append(line.rstrip())
        if sum("Booting worker" in one for one in lines) == workers:
            break
    return lines


def play(folder: str, path: str, line: str, workers: int) -> dict[str, object]:
    """Run a command line, ask for a page, and end it."""
    server = subprocess.Popen(
        shlex.split(line), cwd=folder, env={"PATH": path}, stderr=subprocess.PIPE, text=True
    )
    guard = threading.Timer(SECONDS, server.kill)
    guard.start()
    page, field = "", ""
    try:
        lines = watch(server, workers)
        if server.poll() is None:
            with urllib.request.urlopen("http://{}:{}/".format(*ADDRESS)) as answer:
                page, field = answer.read().decode(), answer.headers["Server"]
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(signal.SIGTERM)
        rest = server.communicate()[1]
        guard.cancel()
    log = "\n".join([*lines, rest])
    return {"page": page, "server": field, "log": log, "code": server.returncode}


def main() -> None:
    """See the head of this file."""
    folder, path, line, workers = sys.argv[1:]
    with contextlib.suppress(OSError):  # not allowed where this is not a namespace, and not needed
        raise_loopback()
    print(json.dumps(play(folder, path, line, int(workers))))


if __name__ == "__main__":
    main()
