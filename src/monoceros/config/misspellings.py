"""Variables of a configuration file that were probably meant to be settings."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from monoceros.config.sections import SETTINGS
from monoceros.spelling import closest

if TYPE_CHECKING:
    from monoceros.config.file import FileVariables

# Named as the command line has it, or as other servers do.
_KNOWN = {
    "access_log": "accesslog",
    "access_logfile": "accesslog",
    "access_logformat": "access_log_format",
    "env": "raw_env",
    "error_log": "errorlog",
    "error_logfile": "errorlog",
    "keep_alive": "keepalive",
    "limit_request_field_sizes": "limit_request_field_size",
    "log_config": "logconfig",
    "log_file": "errorlog",
    "log_level": "loglevel",
    "logfile": "errorlog",
    "name": "proc_name",
    "pid": "pidfile",
    "preload": "preload_app",
    "proxy_allow_from": "proxy_allow_ips",
    "worker": "workers",
    "worker_type": "worker_class",
}
_CLOSE = 0.85


def review(variables: FileVariables) -> tuple[str, ...]:
    """Return a warning for each name that is no setting and close to one that is not set.

    A variable that the file itself reads is the file's own business, and so are modules,
    functions and classes.
    """
    names = [setting.name for setting in SETTINGS]
    return tuple(
        f"{name!r} is not a setting, did you mean {likely!r}? Set in: {variables.origin(name)}."
        for name in variables.values
        if name not in names
        and _is_plain(variables, name)
        and (likely := _find_likely(name.lower(), names)) is not None
        and likely not in variables.values
    )


def _is_plain(variables: FileVariables, name: str) -> bool:
    value = variables.values[name]
    return (
        not name.startswith("_")
        and name in variables.lines
        and name not in variables.reads
        and not isinstance(value, ModuleType | FunctionType | type)
    )


def _find_likely(name: str, names: list[str]) -> str | None:
    return _KNOWN.get(name) or closest(name, names, _CLOSE)
