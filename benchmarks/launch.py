"""Starts the servers that have no command line that serves: ``NAME APP PORT``."""

from __future__ import annotations

import importlib
import sys

THREADS = 2  # waitress has one process; these do what workers do elsewhere


def main(name: str, app: str, port: int) -> None:
    """Serve ``benchmarks.apps:APP`` on 127.0.0.1 with one worker until killed."""
    application = getattr(importlib.import_module("benchmarks.apps"), app)
    server = importlib.import_module(name)
    if name == "freastal":
        server.serve(application, host="127.0.0.1", port=port)
    elif name == "fastpysgi":
        server.run(application, "127.0.0.1", port, loglevel=0)
    elif name == "waitress":
        server.serve(application, host="127.0.0.1", port=port, threads=THREADS)
    else:
        server.run(application, "127.0.0.1", port)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
