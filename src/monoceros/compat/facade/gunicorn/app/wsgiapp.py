"""The command, as Gunicorn's script runs it."""

from __future__ import annotations

import sys
from typing import NoReturn

from monoceros import cli
from monoceros.identity import GUNICORN


def run(prog: str | None = None) -> NoReturn:
    """Run the command with the arguments of this process, and exit."""
    sys.argv[0] = prog or GUNICORN
    sys.exit(cli.main())


if __name__ == "__main__":
    run()
