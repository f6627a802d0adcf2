"""Settings whose value is a class: given as the class, or as a name that is imported when read."""

from __future__ import annotations

import importlib
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, overload

from monoceros.config.setting import DEFAULT, Kind, Section, Setting, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

Reference = str | type[Any]

_EXTRAS = ("eventlet", "gevent", "tornado")  # each brings the package of its name
_CALLED = "a dotted name, egg:DISTRIBUTION#NAME, or in a file a class or a function returning one"


def reference(aliases: Mapping[str, str]) -> Kind[Reference]:
    """A class or its name; ``aliases`` are short names."""

    def parse(value: object) -> Reference:
        if isinstance(value, type):
            return value
        if not isinstance(value, str):
            return _call(value)
        name = value.strip().lstrip("#")
        if name not in aliases and not _is_importable(name):
            raise ValueError("an unknown name")
        return name

    return Kind(parse, f"{', '.join(name for name in aliases if name.isalpha())}, {_CALLED}")


class ClassSetting(Setting[Any]):
    """A record that reads as the class; ``name_of`` gives its name as it was set."""

    __slots__ = ("aliases", "group", "method", "stand_ins")

    def __init__(
        self,
        aliases: Mapping[str, str],
        default: object,
        doc: str,
        *,
        cli: tuple[str, ...],
        group: str,
        method: str,
        stand_ins: Mapping[str, str] | None = None,
    ) -> None:
        """``group`` is that of entry points; what has not ``method`` is not such a class.

        ``stand_ins`` says which of the ``aliases`` a name means whose module is not installed.
        """
        super().__init__(reference(aliases), default, doc, cli=cli, meta="NAME")
        self.aliases = aliases
        self.stand_ins = stand_ins or {}
        self.group = group
        self.method = method

    @overload
    def __get__(self, holder: None, owner: type) -> ClassSetting: ...
    @overload
    def __get__(self, holder: Section, owner: type) -> type[Any]: ...
    def __get__(self, holder: Section | None, owner: type) -> ClassSetting | type[Any]:
        if holder is None:
            return self
        value = holder._values[self.name]
        try:
            return self._find(value)
        except (ImportError, AttributeError, LookupError, TypeError, ValueError) as error:
            origin = holder._origins.get(self.name, DEFAULT)
            raise invalid(self, value, origin, f"cannot be used: {_explain(error)}") from error

    def stand_in(self, name: str) -> str | None:
        """Return the alias that a name means for want of its own module, None where it is there."""
        return self.stand_ins[name] if name in self.stand_ins and not _is_there(name) else None

    def _find(self, value: object) -> type[Any]:
        found = value
        if isinstance(value, str):
            name = self.stand_in(value) or value
            found = load(self.aliases.get(name, name), self.group)
        if not isinstance(found, type):
            found = _call(found)
        if not hasattr(found, self.method):
            raise TypeError(f"it has no method {self.method}")
        return found


def _explain(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        return f"it needs {error.name}: pip install 'monoceros[{error.name}]'"
    return str(error)


def load(name: str, group: str) -> object:
    """Import what a dotted name or an egg URI means; raises ImportError and its like."""
    if name.startswith("egg:"):
        distribution, _, entry = name.removeprefix("egg:").partition("#")
        return _load_entry_point(distribution, group, entry)
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _load_entry_point(distribution: str, group: str, name: str) -> object:
    # Imported late: it costs several milliseconds, and hardly anybody needs it.
    from importlib import metadata

    for entry in metadata.distribution(distribution).entry_points:
        if entry.group == group and (entry.name == name or not name):
            return entry.load()
    raise LookupError(f"{distribution} has no entry point {name!r} in {group}")


def _is_importable(name: str) -> bool:
    if name.startswith("egg:"):
        return True
    return "." in name and all(part.isidentifier() for part in name.split("."))


def _is_there(name: str) -> bool:
    """Whether the module of a dotted name is installed, at most one package deep."""
    module = name.rpartition(".")[0]
    package, _, rest = module.partition(".")
    try:
        spec = find_spec(package)
    except ValueError:  # somebody has put it into sys.modules without a spec
        return True
    if spec is None or not rest:
        return spec is not None
    # Not by ``importlib.util``, which would import the package.
    return PathFinder.find_spec(module, spec.submodule_search_locations or []) is not None


def _call(value: object) -> type[Any]:
    found = value() if callable(value) else None
    if not isinstance(found, type):
        raise ValueError("neither a name nor a class")
    return found
