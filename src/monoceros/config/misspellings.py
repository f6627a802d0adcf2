"""Variables of a configuration file that were probably meant to be settings."""

from __future__ import annotations

from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

from monoceros.config.sections import SETTINGS, ServerHooks
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
    "on_start": "on_starting",
    "pid": "pidfile",
    "preload": "preload_app",
    "proxy_allow_from": "proxy_allow_ips",
    "worker": "workers",
    "worker_init": "post_worker_init",
    "worker_type": "worker_class",
}
_CLOSE = 0.85

_NAMES = tuple(setting.name for setting in SETTINGS)
_HOOKS = tuple(setting.name for setting in SETTINGS if setting.section == ServerHooks.title)


def review(variables: FileVariables) -> tuple[str, ...]:
    """Return a warning for each name that is no setting and close to one that is not set.

    A variable that the file itself reads is the file's own business, and so are modules and
    classes. A function can only have been meant to be a hook.
    """
    return tuple(
        f"{name!r} is not a setting, did you mean {likely!r}? Set in: {variables.origin(name)}."
        for name, value in variables.values.items()
        if name not in _NAMES
        and _is_unused(variables, name)
        and (likely := _find_likely(name.lower(), value)) is not None
        and likely not in variables.values
    )


def _is_unused(variables: FileVariables, name: str) -> bool:
    return not name.startswith("_") and name in variables.lines and name not in variables.reads


def _find_likely(name: str, value: object) -> str | None:
    # What a lazy object says of its own class it would have to load first.
    kind = type(value)
    if issubclass(kind, (ModuleType, type)):
        return None
    names = _HOOKS if kind is FunctionType else _NAMES
    known = _KNOWN.get(name)
    return known if known in names else closest(name, names, _CLOSE)
