"""Starts a program as systemd does: listeners from descriptor 3 on, and LISTEN_PID its own.

activate.py FD[,FD]... ARGUMENT...

Runs this interpreter with the arguments. The descriptors were inherited.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Out of the way first: one of them may have a number that another one is to get.
    copies = [os.dup2(int(fd), 100 + number) for number, fd in enumerate(sys.argv[1].split(","))]
    for number, copy in enumerate(copies):
        os.dup2(copy, 3 + number)
        os.close(copy)
    variables = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(copies)),
        "LISTEN_FDNAMES": ":".join(["web"] * len(copies)),
    }
    os.execve(sys.executable, [sys.executable, *sys.argv[2:]], {**os.environ, **variables})
