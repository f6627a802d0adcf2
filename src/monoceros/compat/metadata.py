"""What ``importlib.metadata`` says of ``gunicorn`` where the real package is not installed."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, DistributionFinder
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.compat.finder import NAME
from monoceros.identity import GUNICORN_VERSION

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    Find = Callable[[DistributionFinder.Context], Iterable[Distribution]]

FILES = {
    "METADATA": f"""\
Metadata-Version: 2.1
Name: {NAME}
Version: {GUNICORN_VERSION}
Summary: Not Gunicorn, but Monoceros's facade of it: the names that others import.
License: MIT
Requires-Dist: monoceros
""",
    # The command is not here, because another distribution has it.
    "entry_points.txt": "[paste.server_runner]\nmain = monoceros.paste:serve_as_gunicorn\n",
    "top_level.txt": f"{NAME}\n",
}


class Facade(Distribution):
    """The facade as a distribution that nobody has installed, and nobody can uninstall."""

    def read_text(self, filename: str) -> str | None:
        """Return one of the files that describe a distribution."""
        return FILES.get(filename)

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        """Return where a file of the facade is."""
        return Path(__file__).with_name("facade") / path


def find(context: DistributionFinder.Context | None, others: Iterable[Find]) -> Iterator[Facade]:
    """Yield the facade where its name or everything is asked for, and ``others`` have no real one.

    Not where certain folders are asked for: it is in none of them, and an installer that took it
    for installed there would be in the wrong.
    """
    context = context or DistributionFinder.Context()
    is_asked = context.name is None or context.name.lower() == NAME
    if is_asked and context.path is sys.path and not _have_real(others):
        yield Facade()


def _have_real(others: Iterable[Find]) -> bool:
    context = DistributionFinder.Context(name=NAME)
    return any(True for find in others for _ in find(context))
