"""The command ``monoceros``, and ``python -m monoceros``."""

from __future__ import annotations

import sys

from monoceros.garbage import uncollected


def main() -> int:
    """Run the command; see ``cli.main``."""
    # Half of the time to the first answer goes into imports.
    with uncollected():
        from monoceros import cli
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
