"""What a process does to become the server, however it was started."""

from __future__ import annotations

import contextlib
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from monoceros.compat import finder
from monoceros.config.surroundings import enter
from monoceros.errors import ConfigError
from monoceros.garbage import uncollected

if TYPE_CHECKING:
    from types import ModuleType

    from monoceros.config import Config

IMPL_VARIABLE = "MONOCEROS_IMPL"


def prepare(cfg: Config) -> None:
    """Enter the surroundings of a configuration, and import the HTTP code; raises ConfigError."""
    finder.install(first=True)
    open_standard_descriptors()
    enter(cfg)
    load_http(cfg.http_parser)


def load_http(parser: str) -> ModuleType:
    """Import the HTTP implementation that ``http_parser`` asks for; MONOCEROS_IMPL goes first."""
    wanted = {"fast": "c", "python": "py"}.get(parser)
    asked = wanted is not None and not os.environ.get(IMPL_VARIABLE)
    try:
        if asked:
            os.environ[IMPL_VARIABLE] = str(wanted)
        with uncollected():
            http = importlib.import_module("monoceros.http")
    except ImportError as error:
        raise ConfigError(str(error)) from error
    finally:
        if asked:
            del os.environ[IMPL_VARIABLE]
    if asked and wanted != http.IMPL:
        raise ConfigError(
            "http_parser: the other implementation was imported already, by a module of "
            f"{finder.NAME}.http. Import that later, or leave http_parser out"
        )
    return http


def current_directory() -> str:
    """Return the working directory by the name the shell knows it by, links included."""
    logical, physical = Path(os.environ.get("PWD", "")), Path.cwd()
    with contextlib.suppress(OSError):
        if logical.is_absolute() and logical.samefile(physical):
            return str(logical)
    return str(physical)


def open_standard_descriptors() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, so that no socket ever gets such a number."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
