"""The whole configuration as one read-only object."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from monoceros.config import sections
from monoceros.config.addresses import Address, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Config(
    sections.ConfigFile,
    sections.ServerSocket,
    sections.WorkerProcesses,
    sections.Security,
    sections.SlowClients,
    sections.Proxies,
    sections.Leniency,
    sections.Logging,
    sections.ServerMechanics,
    sections.ProcessNaming,
    sections.Debugging,
    sections.ServerHooks,
):
    """One attribute for each setting, and what follows from the settings.

    ``app_uri`` is the application as named on the command line, else ``wsgi_app``; ``address``
    is ``bind`` taken apart; ``warnings`` are remarks on the configuration for the error log;
    ``environ`` is the environment that the server was started with.
    """

    __slots__ = ("_again", "_origins", "address", "app_uri", "env", "environ", "warnings")

    _again: Callable[[], Config]
    _origins: Mapping[str, str]
    address: list[Address]
    app_uri: str | None
    env: dict[str, str]
    environ: Mapping[str, str]
    warnings: tuple[str, ...]

    def __init__(
        self,
        values: Mapping[str, object],
        origins: Mapping[str, str],
        *,
        app_uri: str | None,
        environ: Mapping[str, str],
        warnings: tuple[str, ...],
        again: Callable[[], Config],
    ) -> None:
        put = object.__setattr__
        put(self, "_values", dict(values))
        put(self, "_origins", dict(origins))
        put(self, "_again", again)
        put(self, "app_uri", app_uri)
        put(self, "environ", environ)
        put(self, "warnings", warnings)
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

    def values(self) -> dict[str, object]:
        """Return all settings by name."""
        return dict(self._values)

    def reload(self) -> Config:
        """Read the configuration file anew, under the same environment and command line."""
        return self._again()

    @property
    def uid(self) -> int:
        """The id of the user that workers run as."""
        return self.user

    @property
    def gid(self) -> int:
        """The id of the group that workers run as."""
        return self.group


DEFAULT = "default"


def _pair(assignment: str) -> tuple[str, str]:
    name, _, text = assignment.partition("=")
    return name, text
