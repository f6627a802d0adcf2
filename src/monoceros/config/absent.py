"""Settings that configuration files for Gunicorn contain and that this version does not have."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from monoceros.config.file import FileVariables

# To serve without these would put something else on the wire than asked for, or run with other
# rights; the values say what is missing.
_REFUSED = {
    "ca_certs": "TLS",
    "certfile": "TLS",
    "initgroups": "initgroups",
    "keyfile": "TLS",
    "paste": "PasteDeploy",
    "protocol": "the uwsgi protocol",
    "proxy_protocol": "the PROXY protocol",
    "ssl_context": "TLS",
}

_IGNORED = (
    "capture_output",
    "daemon",
    "dirty_apps",
    "logconfig",
    "logconfig_dict",
    "logconfig_json",
    "logger_class",
    "post_request",
    "pre_request",
    "reload",
    "reuse_port",
    "spew",
    "statsd_host",
    "syslog",
)

_OFF = ("0", "off", "false", "none", "http")


def review(variables: FileVariables) -> tuple[str, ...]:
    """Return a remark for each setting without effect; raises ConfigError for a vital one."""
    for name, feature in _REFUSED.items():
        if _is_on(variables, name):
            raise ConfigError(
                f"{name} is set in {variables.origin(name)}, but {feature} is not in this version"
            )
    return tuple(
        f"{name} is set in {variables.origin(name)}, but has no effect in this version"
        for name in _IGNORED
        if _is_on(variables, name)
    )


def _is_on(variables: FileVariables, name: str) -> bool:
    value = variables.values.get(name)
    if isinstance(value, str):
        value = value.strip().lower()
    # ``import syslog`` is no setting.
    return bool(value) and value not in _OFF and not isinstance(value, ModuleType)
