"""The whole configuration as one read-only object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from monoceros.config import sections
from monoceros.config.addresses import Address, parse_address
from monoceros.config.setting import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from monoceros.config.machine import WorkerPlan
    from monoceros.config.setting import Setting

_TLS = (
    "keyfile",
    "certfile",
    "ssl_version",
    "cert_reqs",
    "ca_certs",
    "suppress_ragged_eofs",
    "do_handshake_on_connect",
    "ciphers",
)


class Remarks(NamedTuple):
    """What a configuration has to say about itself in the error log."""

    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class SettingState(NamedTuple):
    """One setting as ``cfg.settings`` shows it: its record's facts, with the value in force."""

    name: str
    value: Any
    default: object
    cli: tuple[str, ...]
    section: str
    origin: str

    def get(self) -> Any:
        """Return the value."""
        return self.value


class Config(
    sections.ConfigFile,
    sections.ServerSocket,
    sections.WorkerProcesses,
    sections.Security,
    sections.Overload,
    sections.SlowClients,
    sections.Proxies,
    sections.Leniency,
    sections.Logging,
    sections.Metrics,
    sections.ServerMechanics,
    sections.ProcessNaming,
    sections.Debugging,
    sections.ServerHooks,
    sections.Protocols,
    sections.Tls,
    sections.Http2,
    sections.Asgi,
    sections.DirtyArbiters,
    sections.Control,
):
    """One attribute for each setting, and what follows from the settings.

    ``app_uri`` is the application as named on the command line, else ``wsgi_app``, else what was
    found; ``address`` is ``bind`` taken apart; ``env`` is ``raw_env`` taken apart; ``environ`` is
    the environment that the server was started with, and ``cwd`` the directory; ``plan`` is how
    ``workers`` came about where it is ``auto``. ``is_class_open`` says that nobody has chosen a
    worker class, so that the application decides whether it is ``asgi``. ``notes`` and ``warnings``
    are remarks for the error log.
    """

    __slots__ = (
        "_again",
        "address",
        "app_uri",
        "cwd",
        "env",
        "environ",
        "is_class_open",
        "notes",
        "plan",
        "warnings",
    )

    _again: Callable[[], Config]
    address: list[Address]
    app_uri: str | None
    cwd: str
    env: dict[str, str]
    environ: Mapping[str, str]
    is_class_open: bool
    notes: tuple[str, ...]
    plan: WorkerPlan | None
    warnings: tuple[str, ...]

    def __init__(
        self,
        values: Mapping[str, object],
        origins: Mapping[str, str],
        *,
        app_uri: str | None,
        cwd: str,
        environ: Mapping[str, str],
        plan: WorkerPlan | None,
        is_class_open: bool,
        remarks: Remarks,
        again: Callable[[], Config],
    ) -> None:
        put = object.__setattr__
        put(self, "_values", dict(values))
        put(self, "_origins", dict(origins))
        put(self, "_again", again)
        put(self, "app_uri", app_uri)
        put(self, "cwd", cwd)
        put(self, "environ", environ)
        put(self, "plan", plan)
        put(self, "is_class_open", is_class_open)
        put(self, "notes", remarks.notes)
        put(self, "warnings", remarks.warnings)
        put(self, "address", [parse_address(entry) for entry in self.bind])
        put(self, "env", dict(_pair(entry) for entry in self.raw_env))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a configuration is read-only: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a configuration is read-only: {name}")

    def __repr__(self) -> str:
        given = {name: self._values[name] for name in self._origins}
        return f"<Config {given!r}>"

    def origin(self, name: str) -> str:
        """Say where a setting was set, in words for a person; KeyError for an unknown name."""
        self._values[name]
        return self._origins.get(name, DEFAULT)

    def is_given(self, name: str) -> bool:
        """Whether somebody set a setting, whatever to."""
        return name in self._origins

    def values(self) -> dict[str, object]:
        """Return all settings by name."""
        return dict(self._values)

    def again(self) -> Config:
        """Read the configuration file anew, under the same environment and command line."""
        return self._again()

    @property
    def settings(self) -> Mapping[str, SettingState]:
        """All settings by name, in the shape that Gunicorn's users look them up in."""
        return {record.name: self._state(record) for record in sections.SETTINGS}

    def _state(self, record: Setting[object]) -> SettingState:
        return SettingState(
            record.name,
            self._values[record.name],
            record.default_under(self.compat),
            record.cli,
            record.section,
            self.origin(record.name),
        )

    @property
    def uid(self) -> int:
        """The id of the user that workers run as."""
        return self.user

    @property
    def gid(self) -> int:
        """The id of the group that workers run as."""
        return self.group

    @property
    def worker_class_str(self) -> str:
        """The name of the worker class as it was set, or of the one that has taken its place."""
        value = self._values["worker_class"]
        if isinstance(value, type):
            return value.__name__
        return Config.worker_class.stand_in(str(value)) or str(value)

    @property
    def is_ssl(self) -> bool:
        """Whether connections are encrypted."""
        return bool(self.certfile or self.keyfile)

    @property
    def ssl_options(self) -> dict[str, object]:
        """The settings about encryption by name."""
        return {name: self._values[name] for name in _TLS}

    @property
    def paste_global_conf(self) -> dict[str, str]:
        """``raw_paste_global_conf`` taken apart."""
        return dict(_unescaped_pair(entry) for entry in self.raw_paste_global_conf)


def _pair(assignment: str) -> tuple[str, str]:
    name, _, text = assignment.partition("=")
    return name, text


def _unescaped_pair(assignment: str) -> tuple[str, str]:
    name, _, text = assignment.replace("\\=", "\0").partition("=")
    return name.replace("\0", "="), text.replace("\0", "=")
