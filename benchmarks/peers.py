"""The servers that can be measured, and the environment of their own that peers live in.

``python -m benchmarks.peers`` lists them; ``python -m benchmarks.peers install [NAME ...]``
installs the named ones, or all, into ``build/benchmarks/venv``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from dataclasses import dataclass, replace

from benchmarks.paths import VENV, VENV_PYTHON

_APPS = frozenset({"hello", "ten_kb", "post", "stream"})
_ASGI_APPS = _APPS | {"fastapi", "echo"}
# Not imported where they are not served.
_MODULES = {"fastapi": "benchmarks.fastapi_app"}


def asgi_target(app: str) -> str:
    """Return module and name of an ASGI application, as servers want them."""
    return f"{_MODULES.get(app, 'benchmarks.asgi_apps')}:{app}"


@dataclass(frozen=True, slots=True)
class Peer:
    """One server: its command line for one worker on ``{port}`` that serves ``benchmarks.apps``.

    ``{app}`` is the application's name there, ``{asgi_app}`` module and name of the ASGI one,
    ``{peer_python}`` the interpreter with the peers, ``{own_python}`` the one with Monoceros,
    ``{raw_epoll}`` the compiled ceiling, ``{body}`` the length of the application's answer.
    ``requirements`` is what pip installs for it, ``needs`` what must be there before, and ``apps``
    the applications it can serve.
    """

    name: str
    command: tuple[str, ...]
    requirements: tuple[str, ...] = ()
    needs: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    apps: frozenset[str] = _APPS


def _monoceros(name: str, implementation: str, *options: str) -> Peer:
    bind = ("--bind", "127.0.0.1:{port}", "--workers", "1", "--log-level", "warning")
    return Peer(
        name,
        ("{own_python}", "-m", "monoceros", *bind, *options, "benchmarks.apps:{app}"),
        environment=(("MONOCEROS_IMPL", implementation),),
    )


def _gunicorn(name: str, *options: str, requirements: tuple[str, ...] = ()) -> Peer:
    bind = ("--bind", "127.0.0.1:{port}", "--workers", "1", "--log-level", "warning")
    return Peer(
        name,
        ("{peer_python}", "-m", "gunicorn", *bind, *options, "benchmarks.apps:{app}"),
        requirements=("gunicorn", *requirements),
    )


def _launched(name: str, needs: str = "") -> Peer:
    return Peer(
        name,
        ("{peer_python}", "-m", "benchmarks.launch", name, "{app}", "{port}"),
        requirements=(name,),
        needs=needs,
    )


def _granian(name: str, *options: str) -> Peer:
    bind = ("--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1")
    return Peer(
        name,
        ("{peer_python}", "-m", "granian", *bind, *options, "benchmarks.apps:{app}"),
        requirements=("granian",),
    )


def _monoceros_asgi(loop: str) -> Peer:
    options = ("--worker-class", "asgi", "--asgi-loop", loop)
    return _of_asgi(_monoceros(f"monoceros-asgi-{loop}", "c", *options))


def _uvicorn(loop: str) -> Peer:
    bind = ("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning", "--no-access-log")
    # What "auto" chooses where these libraries are installed.
    how = ("--loop", loop, "--http", "httptools", "--ws", "websockets-sansio", "--lifespan", "off")
    return _of_asgi(
        Peer(
            f"uvicorn-{loop}",
            ("{peer_python}", "-m", "uvicorn", *bind, *how, "benchmarks.apps:{app}"),
            requirements=("uvicorn", "httptools", "uvloop", "websockets", "fastapi"),
        )
    )


def _granian_asgi() -> Peer:
    command = [{"wsgi": "asgi"}.get(word, word) for word in _granian("").command]
    requirements = ("granian", "uvloop", "fastapi")
    return _of_asgi(Peer("granian-asgi", tuple(command), requirements=requirements))


def _raw_asgi() -> Peer:
    command = ("{own_python}", "-m", "benchmarks.raw_asgi", "{app}", "{port}")
    return Peer("raw-asgi", command, apps=frozenset({"hello", "ten_kb", "fastapi"}))


def _of_asgi(peer: Peer) -> Peer:
    """Have a server serve the application of the same name that is one of ASGI."""
    command = tuple(word.replace("benchmarks.apps:{app}", "{asgi_app}") for word in peer.command)
    return replace(peer, command=command, apps=_ASGI_APPS)


# gthread as gunicorn's users run it; auto would take the C parser as soon as it is installed.
_ACCESS_LOG = ("--access-logfile", "/dev/null")
_GTHREAD = ("--worker-class", "gthread", "--threads", "4", "--http-parser")

PEERS = {
    peer.name: peer
    for peer in (
        _monoceros("monoceros-c", "c"),
        _monoceros("monoceros-py", "py"),
        _monoceros("monoceros-c-threads", "c", "--threads", "4"),
        _monoceros("monoceros-c-log", "c", *_ACCESS_LOG),
        _monoceros("monoceros-c-json", "c", *_ACCESS_LOG, "--access-logformat", "json"),
        _monoceros("monoceros-gevent", "c", "--worker-class", "gevent"),
        _monoceros("monoceros-eventlet", "c", "--worker-class", "eventlet"),
        _monoceros_asgi("uvloop"),
        _monoceros_asgi("asyncio"),
        Peer("raw", ("{raw_epoll}", "{port}", "{body}"), apps=frozenset({"hello", "ten_kb"})),
        _launched("bjoern", needs="a C compiler and libev's headers (Debian: libev-dev)"),
        _launched("fastpysgi"),
        _launched("freastal"),
        _launched("waitress"),
        _granian("granian"),
        _granian("granian-st", "--runtime-mode", "st", "--blocking-threads", "1"),
        _gunicorn("gunicorn-gthread", *_GTHREAD, "python"),
        # Its extra "fast" pins a version of the parser; any that it accepts at run time will do.
        _gunicorn("gunicorn-gthread-c", *_GTHREAD, "fast", requirements=("gunicorn_h1c",)),
        _gunicorn("gunicorn-sync", "--http-parser", "python"),
        _gunicorn(
            "gunicorn-gevent",
            *("--worker-class", "gevent", "--http-parser", "python"),
            requirements=("gevent", "packaging"),
        ),
        _uvicorn("uvloop"),
        _uvicorn("asyncio"),
        _granian_asgi(),
        _raw_asgi(),
    )
}


def select(names: str) -> list[Peer]:
    """Return the peers of a comma-separated list; ``all`` is every one of them."""
    if names == "all":
        return list(PEERS.values())
    wanted = names.split(",")
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        raise ValueError(f"no server named {', '.join(unknown)}; there are: {', '.join(PEERS)}")
    return [PEERS[name] for name in wanted]


def install(peer: Peer) -> str | None:
    """Install what ``peer`` requires; return what went wrong, or None."""
    if not VENV_PYTHON.exists():
        venv.create(VENV, with_pip=True)
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, *peer.requirements], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode == 0:
        return None
    hint = f"it needs {peer.needs}\n" if peer.needs else ""
    return hint + done.stderr.strip()[-2000:]


def main(argv: list[str] | None = None) -> int:
    """List the servers, or install peers; the exit code counts those that could not be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("action", nargs="?", choices=["list", "install"], default="list")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args(argv)
    try:
        peers = select(",".join(options.names) or "all")
    except ValueError as error:
        parser.error(str(error))
    if options.action == "list":
        for peer in peers:
            print(f"{peer.name:20} {' '.join(peer.command)}")
        return 0
    failures = 0
    for peer in peers:
        if not peer.requirements:
            continue
        problem = install(peer)
        failures += problem is not None
        print(f"{peer.name}: {'installed' if problem is None else 'NOT installed: ' + problem}")
    return failures


if __name__ == "__main__":
    sys.exit(main())
