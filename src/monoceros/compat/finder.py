"""Makes the name ``gunicorn`` reach the facade, in imports and in look-ups of metadata.

The facade is in a folder that is on no search path. Where the real package is installed, that is
what its name means, except in a process whose arbiter is ours: there it is always the facade.

monoceros-gunicorn has every interpreter of an environment import this at its start. So it imports
nothing but ``sys`` before somebody asks for the name; ``typing`` alone would take two milliseconds.
"""

import sys

TYPE_CHECKING = False  # type checkers know better
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from importlib.metadata import Distribution, DistributionFinder
    from types import ModuleType
    from typing import Any

NAME = "gunicorn"


def install(*, first: bool) -> None:
    """Have ``gunicorn`` be the facade: always if ``first``, else where the real one is absent.

    May be called again; whoever asked for ``first`` is not overruled.
    """
    finder = find_installed()
    if finder is None:
        # Before the finders of files even where it gives way to them: for those, a folder of that
        # name without a package in it, such as one with configuration files, is a package too.
        sys.meta_path.insert(0, Finder(first=first))
    elif first:
        finder.first = True


def find_installed() -> "Finder | None":
    """Return the finder that answers in this process, if there is one."""
    return next((one for one in sys.meta_path if isinstance(one, Finder)), None)


def find_facade() -> "ModuleSpec | None":
    """Return where the facade is; None where it was not installed."""
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(NAME, [__file__.rpartition("/")[0] + "/facade"])


class Finder:
    """Answers for ``gunicorn``; unless ``first``, only where nothing else does."""

    def __init__(self, *, first: bool) -> None:
        self.first = first

    def find_spec(
        self,
        fullname: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Return the facade's spec for its name; what is inside of it is found by its path."""
        if fullname != NAME or not (self.first or self.find_real() is None):
            return None
        return find_facade()

    def find_real(self) -> "ModuleSpec | None":
        """Return where the other finders have a package of this name that is more than a folder."""
        specs = (find(NAME, None, None) for find in self._others("find_spec"))
        return next((spec for spec in specs if spec and spec.origin), None)

    def find_distributions(
        self, context: "DistributionFinder.Context | None" = None
    ) -> "Iterator[Distribution]":
        """Yield the facade's metadata, unless there are those of the real package."""
        from monoceros.compat import metadata

        return metadata.find(context, self._others("find_distributions"))

    def _others(self, method: str) -> "Iterator[Callable[..., Any]]":
        others = [one for one in sys.meta_path if one is not self]
        return (getattr(one, method) for one in others if hasattr(one, method))
