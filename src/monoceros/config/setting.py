"""One setting as one record, from which command line, file, checks and documentation derive.

A record is also a descriptor: sections declare records as class attributes, ``Config`` inherits
from the sections, and so ``cfg.workers`` has the type that the record's kind parses to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar, cast, overload

from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Kind(Generic[T_co]):
    """What values a setting takes.

    ``parse`` returns the value in its final type or raises ``ValueError`` with the reason, in
    words that follow the value (``'x' is not ...``), or empty where ``allowed`` says it all.
    """

    __slots__ = ("allowed", "bare", "flag", "parse", "repeated", "resets")

    def __init__(
        self,
        parse: Callable[[object], T_co],
        allowed: str,
        *,
        flag: bool = False,
        bare: str | None = None,
        repeated: bool = False,
        resets: bool = True,
    ) -> None:
        self.parse = parse
        self.allowed = allowed
        self.flag = flag  # the command line option takes no value
        self.bare = bare  # what the option means without its value; None: it needs one
        self.repeated = repeated  # the command line option may be given several times
        self.resets = resets  # None in a file means the default

    def narrow(self, parse: Callable[[object], T_co], allowed: str) -> Kind[T_co]:
        """Return the same kind for fewer values."""
        return Kind(
            parse,
            allowed,
            flag=self.flag,
            bare=self.bare,
            repeated=self.repeated,
            resets=self.resets,
        )


class Env(NamedTuple):
    """An environment variable that replaces a default; ``{}`` in ``form`` is its text."""

    name: str
    form: str = "{}"
    empty: bool = False  # whether an empty variable is a value instead of no value


class Section:
    """Holds the values that the records of its subclasses read, and where they were set."""

    __slots__ = ("_origins", "_values")
    title: ClassVar[str] = ""
    _values: Mapping[str, object]
    _origins: Mapping[str, str]


DEFAULT = "default"
SAME = object()  # Gunicorn's default is ours


class Setting(Generic[T_co]):
    """A record: how a setting is named, checked, set and documented.

    ``default`` is in the form a file would use, and so is ``gunicorn``, the default under
    ``compat = "gunicorn"`` where that is another one. Name and section come from the class that
    declares the record. Options are file-only where ``cli`` is empty. ``missing`` names a feature
    that is not there yet, for settings that can only be left off; ``ours`` are settings that
    Gunicorn does not have.
    """

    __slots__ = (
        "cli",
        "default",
        "doc",
        "env",
        "gunicorn",
        "kind",
        "meta",
        "missing",
        "name",
        "ours",
        "section",
    )

    def __init__(
        self,
        kind: Kind[T_co],
        default: object,
        doc: str,
        *,
        cli: tuple[str, ...] = (),
        meta: str | None = None,
        env: Env | None = None,
        gunicorn: object = SAME,
        missing: str = "",
        ours: bool = False,
    ) -> None:
        self.name = ""
        self.section = ""
        self.kind = kind
        self.default = default
        self.gunicorn = default if gunicorn is SAME else gunicorn
        self.doc = doc
        self.cli = cli
        self.meta = meta
        self.env = env
        self.missing = missing
        self.ours = ours

    def __set_name__(self, owner: type[Section], name: str) -> None:
        self.name = name
        self.section = owner.title

    @overload
    def __get__(self, holder: None, owner: type) -> Setting[T_co]: ...
    @overload
    def __get__(self, holder: Section, owner: type) -> T_co: ...
    def __get__(self, holder: Section | None, owner: type) -> Setting[T_co] | T_co:
        if holder is None:
            return self
        return cast("T_co", holder._values[self.name])

    def default_under(self, compat: str) -> object:
        """Return the default under a value of the setting ``compat``."""
        return self.gunicorn if compat == "gunicorn" else self.default

    def parse(self, value: object, origin: str, default: object) -> T_co:
        """Return the value in its final type; raises ConfigError, which names ``origin``."""
        given = default if value is None and self.kind.resets else value
        try:
            return self.kind.parse(given)
        except ValueError as error:
            raise invalid(self, value, origin, str(error)) from error


def invalid(setting: Setting[object], value: object, origin: str, reason: str) -> ConfigError:
    """Build the error for a wrong value; ``reason`` may be empty."""
    because = f" ({reason})" if reason else ""
    return ConfigError(
        f"Invalid value for {setting.name}: {value!r}{because}. "
        f"Allowed: {setting.kind.allowed}. Set in: {origin}."
    )
