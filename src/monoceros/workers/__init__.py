"""What runs in the child processes."""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monoceros.workers.base import Worker

WORKERS: Mapping[str, str] = MappingProxyType({"sync": "monoceros.workers.sync:SyncWorker"})


def find_class(name: str | type[Worker]) -> type[Worker]:
    """Return the class behind a ``worker_class`` setting; raises ConfigError for an unknown one.

    The class is imported only now: its module brings the whole HTTP side with it.
    """
    if not isinstance(name, str):
        return name
    try:
        module, _, attribute = WORKERS[name].partition(":")
    except KeyError:
        known = ", ".join(sorted(WORKERS))
        raise ConfigError(f"worker_class: {name!r} is not one of: {known}") from None
    found: type[Worker] = getattr(importlib.import_module(module), attribute)
    return found
