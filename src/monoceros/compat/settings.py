"""A configuration that programs set up step by step, in Gunicorn's shape.

Programs that host the server make one, set what they like, and hand it over. What the server runs
with is a read-only configuration that is made of it at the start and at each reload.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from monoceros.config import Config, sources
from monoceros.config.addresses import Address, parse_address
from monoceros.config.commandline import build_parser
from monoceros.config.derived import Given
from monoceros.config.sections import SETTINGS
from monoceros.config.setting import DEFAULT
from monoceros.hosting import current_directory
from monoceros.identity import GUNICORN

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterator

    from monoceros.config.setting import Setting as Record
    from monoceros.config.sources import Collected

PROGRAM = "the program that hosts the server"

# Names of classes that are not made of the setting's name as the others are.
_ODD_NAMES = {
    "accesslog": "AccessLog",
    "asgi_disconnect_grace_period": "ASGIDisconnectGracePeriod",
    "asgi_lifespan": "ASGILifespan",
    "asgi_loop": "ASGILoop",
    "ca_certs": "CACerts",
    "casefold_http_method": "CasefoldHTTPMethod",
    "certfile": "CertFile",
    "check_config": "ConfigCheck",
    "config": "ConfigFile",
    "enable_backlog_metric": "BacklogMetric",
    "errorlog": "ErrorLog",
    "forwarded_allow_ips": "ForwardedAllowIPS",
    "http2_cleartext": "HTTP2Cleartext",
    "http2_initial_window_size": "HTTP2InitialWindowSize",
    "http2_max_concurrent_streams": "HTTP2MaxConcurrentStreams",
    "http2_max_frame_size": "HTTP2MaxFrameSize",
    "http2_max_header_list_size": "HTTP2MaxHeaderListSize",
    "http_protocols": "HTTPProtocols",
    "keyfile": "KeyFile",
    "logconfig": "LogConfig",
    "logconfig_dict": "LogConfigDict",
    "logconfig_json": "LogConfigJson",
    "nworkers_changed": "NumWorkersChanged",
    "permit_unconventional_http_method": "PermitUnconventionalHTTPMethod",
    "permit_unconventional_http_version": "PermitUnconventionalHTTPVersion",
    "post_fork": "Postfork",
    "pre_fork": "Prefork",
    "proc_name": "Procname",
    "proxy_allow_ips": "ProxyAllowFrom",
    "pythonpath": "PythonPath",
    "raw_env": "Env",
    "raw_paste_global_conf": "PasteGlobalConf",
    "secure_scheme_headers": "SecureSchemeHeader",
    "ssl_context": "NewSSLContext",
    "ssl_version": "SSLVersion",
    "suppress_ragged_eofs": "SuppressRaggedEOFs",
    "syslog_addr": "SyslogTo",
    "threads": "WorkerThreads",
    "uwsgi_allow_ips": "UWSGIAllowFrom",
    "websocket_max_message_size": "WebSocketMaxMessageSize",
    "wsgi_app": "WSGIApp",
}


class Setting:
    """One setting with its value; each has a class of its own, which has the facts about it.

    Settings that the server does not know cannot be added: a configuration file may have any
    variables, and the environment is there for everybody.
    """

    _record: ClassVar[tuple[Record[Any]]]  # alone in a tuple, because a record is a descriptor
    name: ClassVar[str]
    section: ClassVar[str]
    cli: ClassVar[list[str] | None]
    meta: ClassVar[str | None]
    default: ClassVar[Any]
    short: ClassVar[str]
    desc: ClassVar[str]
    order: ClassVar[int]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "_record" not in vars(cls):
            raise TypeError(
                f"{cls.__qualname__}: settings of your own cannot be added. Use a variable of the "
                "environment, or set what you need in a hook of the configuration file"
            )

    def __init__(self) -> None:
        self.given: Given | None = None
        self.value: Any = self.validator(self.default)

    @classmethod
    def validator(cls, val: Any) -> Any:
        """Return a value in its final type; raises ConfigError."""
        return cls._record[0].parse(val, PROGRAM, cls.default)

    def get(self) -> Any:
        """Return the value."""
        return self.value

    def set(self, val: Any, origin: str = PROGRAM) -> None:
        """Set the value; raises ConfigError."""
        self.value = self._record[0].parse(val, origin, self.default)
        self.given = Given(val, origin)

    def copy(self) -> Setting:
        """Return another one with the same value."""
        return copy.copy(self)

    def __lt__(self, other: Setting) -> bool:
        return (self.section, self.order) < (other.section, other.order)

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self.name} = {self.value!r}>"


def class_name(name: str) -> str:
    """Return the name of a setting's class."""
    return _ODD_NAMES.get(name) or "".join(part.capitalize() for part in name.split("_"))


@cache
def make_classes() -> tuple[type[Setting], ...]:
    """Return a class for each setting, with Gunicorn's defaults."""
    return tuple(_make_class(record, order) for order, record in enumerate(SETTINGS))


def _make_class(record: Record[Any], order: int) -> type[Setting]:
    default = record.default_under(GUNICORN)
    facts = {
        "__doc__": record.doc,
        "_record": (record,),
        "name": record.name,
        "section": record.section,
        "cli": list(record.cli) or None,
        "meta": record.meta,
        "default": staticmethod(default) if callable(default) else default,
        "short": record.name.replace("_", " ").capitalize(),
        "desc": record.doc,
        "order": order,
    }
    return type(class_name(record.name), (Setting,), facts)


def make_settings(ignore: Collection[Any] = ()) -> dict[str, Setting]:
    """Return all settings by name, each with its default."""
    return {one.name: one() for one in make_classes() if one not in ignore}


class _Values(Mapping[str, object]):
    """The values of settings by name, as they are at the moment."""

    def __init__(self, settings: Mapping[str, Setting]) -> None:
        self._settings = settings

    def __getitem__(self, name: str) -> object:
        return self._settings[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)


class EditableConfig(Config):
    """All settings, changed by ``set``; reads as the configuration that the server runs with."""

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        put = object.__setattr__
        put(self, "usage", usage)
        put(self, "prog", prog or GUNICORN)
        put(self, "env_orig", dict(os.environ))
        put(self, "environ", dict(os.environ))
        put(self, "cwd", current_directory())
        put(self, "_editable", make_settings())
        put(self, "_values", _Values(self._editable))
        put(self, "plan", None)
        put(self, "notes", ())
        put(self, "warnings", ())
        for name, given in sources.from_environment(self.environ).items():
            self._editable[name].value = self._editable[name].validator(given.value)

    usage: str | None
    prog: str
    env_orig: dict[str, str]
    _editable: dict[str, Setting]

    def __setattr__(self, name: str, value: object) -> None:  # type: ignore[override]
        if name in self._editable:
            raise AttributeError(f"{name} is a setting: use set({name!r}, ...)")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"settings stay: {name}")

    @property
    def settings(self) -> dict[str, Setting]:  # type: ignore[override]
        """All settings by name."""
        return self._editable

    def set(self, name: str, value: Any, origin: str = PROGRAM) -> None:
        """Set one setting; raises ConfigError, or AttributeError for a name that is none."""
        if name not in self._editable:
            raise AttributeError(f"No configuration setting for: {name}")
        self._editable[name].set(value, origin)

    def get_cmd_args_from_env(self) -> list[str]:
        """Return the words of GUNICORN_CMD_ARGS."""
        import shlex

        return shlex.split(self.env_orig.get(sources.ARGUMENTS_VARIABLE, ""))

    def parser(self) -> argparse.ArgumentParser:
        """Return a parser of the command line; what is not on that is None afterwards."""
        parser = build_parser(self.prog)
        parser.usage = self.usage
        parser.set_defaults(**dict.fromkeys(self._editable))
        return parser

    def origin(self, name: str) -> str:
        """Say where a setting was set; KeyError for an unknown name."""
        given = self._editable[name].given
        return given.origin if given else DEFAULT

    def is_given(self, name: str) -> bool:
        """Whether somebody set a setting."""
        return name in self._editable and self._editable[name].given is not None

    @property
    def address(self) -> list[Address]:  # type: ignore[override]
        """``bind`` taken apart."""
        return [parse_address(entry) for entry in self.bind]

    @property
    def env(self) -> dict[str, str]:  # type: ignore[override]
        """``raw_env`` taken apart."""
        pairs = (entry.partition("=") for entry in self.raw_env)
        return {name: text for name, _, text in pairs}

    @property
    def is_class_open(self) -> bool:  # type: ignore[override]
        """Whether nobody has chosen a worker class."""
        return not self.is_given("worker_class")

    @property
    def app_uri(self) -> str | None:  # type: ignore[override]
        """The application that a setting names."""
        return self.wsgi_app

    def again(self) -> NoReturn:
        """Refuse: whoever set it up has to do it again."""
        raise RuntimeError("only the program that set this up can do so again")

    def freeze(
        self, again: Callable[[], Config], app_uri: str | None = None, *, hosted: bool = True
    ) -> Config:
        """Return the read-only configuration for the server; raises ConfigError.

        Unless it is ``hosted``, the application is the one named, or is looked for.
        """
        given = {name: one.given for name, one in self._editable.items() if one.given is not None}
        collected = sources.Collected(given, self.warnings)
        return sources.assemble(
            collected, self.environ, self.cwd, GUNICORN, again, app_uri, hosted=hosted
        )

    def take(self, collected: Collected) -> None:
        """Set what other sources give, with what they say about it; raises ConfigError."""
        for name, given in collected.given.items():
            self.set(name, given.value, given.origin)
        object.__setattr__(self, "warnings", (*self.warnings, *collected.warnings))
