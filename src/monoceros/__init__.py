"""Monoceros: a pre-fork application server for Python."""

from monoceros._version import __version__

__all__ = ["__version__"]
