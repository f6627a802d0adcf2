"""Real reverse proxies in front of a server, each a process of this user's with its own directory.

Requests for ``/N/`` go through lane N, which keeps one connection to the server: what is sent on a
lane after a pause is sent on the connection that was idle meanwhile.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.server import StartError, free_port, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_SECONDS = 10.0


class Plan(NamedTuple):
    """Where a proxy listens, where it sends to, and how long it keeps idle connections there."""

    port: int
    server_port: int
    lanes: int
    idle_s: float


class Proxy(NamedTuple):
    """A program, its arguments, and the text of its configuration."""

    program: str
    package: str  # of Debian
    arguments: tuple[str, ...]  # {file} is the configuration, {directory} its directory
    configure: Callable[[Plan], str]


def _nginx(plan: Plan) -> str:
    upstreams = "\n".join(
        f"upstream u{lane} {{ server 127.0.0.1:{plan.server_port}; keepalive 1;"
        f" keepalive_timeout {round(plan.idle_s * 1000)}ms; keepalive_requests 1000000; }}"
        for lane in range(plan.lanes)
    )
    locations = "\n".join(
        f"location /{lane}/ {{ proxy_pass http://u{lane}; }}" for lane in range(plan.lanes)
    )
    directories = "\n".join(
        f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
access_log off;
{directories}
{upstreams}
server {{
listen 127.0.0.1:{plan.port} backlog=4096;
keepalive_timeout 1h;
keepalive_requests 1000000;
proxy_http_version 1.1;
proxy_set_header Connection "";
{locations}
}}
}}
"""


def _haproxy(plan: Plan) -> str:
    backends = "\n".join(
        f"backend b{lane}\n"
        "    http-reuse always\n"
        f"    server s 127.0.0.1:{plan.server_port} pool-purge-delay {round(plan.idle_s * 1000)}ms"
        for lane in range(plan.lanes)
    )
    return f"""\
global
    nbthread 1
    maxconn 8000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
frontend f
    bind 127.0.0.1:{plan.port}
    use_backend b%[path,field(2,/)]
{backends}
"""


PROXIES = {
    "nginx": Proxy(
        "nginx", "nginx-light", ("-p", "{directory}", "-e", "stderr", "-c", "{file}"), _nginx
    ),
    "haproxy": Proxy("haproxy", "haproxy", ("-db", "-f", "{file}"), _haproxy),
}


def find_program(proxy: Proxy) -> str | None:
    """Return the path of a proxy's program; Debian keeps them where only root looks."""
    return shutil.which(proxy.program) or shutil.which(proxy.program, path="/usr/sbin:/sbin")


@contextlib.contextmanager
def proxying(name: str, server_port: int, lanes: int, idle_s: float) -> Iterator[int]:
    """Run a proxy for the length of the block; gives its port, raises ``StartError``."""
    proxy = PROXIES[name]
    program = find_program(proxy)
    if program is None:
        raise StartError(f"{proxy.program} is not installed (Debian: {proxy.package})")
    plan = Plan(free_port(), server_port, lanes, idle_s)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "conf")
        file.write_text(proxy.configure(plan), "utf-8")
        log = Path(directory, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    program,
                    *(part.format(directory=directory, file=file) for part in proxy.arguments),
                ],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            _await_listener(process, plan.port, log)
            yield plan.port
        finally:
            stop(process)


def _await_listener(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=2).close()
            return
        time.sleep(0.05)
    raise StartError(log.read_text("utf-8", "replace").strip()[-500:] or "does not listen")
