"""Servers with several workers or threads, for measurements of concurrency."""

from __future__ import annotations

from benchmarks.peers import Peer

APP = "mixed"
BIND = ("--bind", "127.0.0.1:{port}", "--log-level", "warning", "--keep-alive", "75")
MODULE = "benchmarks.apps:{app}"


def monoceros(workers: int = 1, threads: int = 1, *options: str, name: str = "") -> Peer:
    """Return this server, its compiled twin."""
    counts = ("--workers", str(workers), "--threads", str(threads))
    return Peer(
        name or f"monoceros-{workers}x{threads}",
        ("{own_python}", "-m", "monoceros", *BIND, *counts, *options, MODULE),
        environment=(("MONOCEROS_IMPL", "c"),),
    )


def gthread(workers: int = 1, threads: int = 1) -> Peer:
    """Return Gunicorn with its threaded worker."""
    counts = ("--workers", str(workers), "--threads", str(threads))
    kind = ("--worker-class", "gthread", "--no-control-socket")
    return Peer(
        f"gunicorn-gthread-{workers}x{threads}",
        ("{peer_python}", "-m", "gunicorn", *BIND, *counts, *kind, MODULE),
    )


def granian(workers: int = 1, threads: int = 1) -> Peer:
    """Return Granian."""
    bind = ("--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "--no-log")
    counts = ("--workers", str(workers), "--blocking-threads", str(threads))
    return Peer(
        f"granian-{workers}x{threads}",
        ("{peer_python}", "-m", "granian", *bind, *counts, MODULE),
    )


def waitress() -> Peer:
    """Return waitress: one process with two threads."""
    return Peer(
        "waitress-1x2", ("{peer_python}", "-m", "benchmarks.launch", "waitress", "{app}", "{port}")
    )
