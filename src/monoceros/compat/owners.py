"""Who answers to the name ``gunicorn`` in this environment: the facts, without a judgement."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from typing import NamedTuple

from monoceros.compat import scripts
from monoceros.compat.finder import NAME, Finder, find_facade, find_installed
from monoceros.compat.metadata import Facade

OURS = "monoceros-gunicorn"

# Who may answer.
MONOCEROS = "Monoceros"
GUNICORN = "Gunicorn"
OTHER = "another"
NOBODY = "nobody"


class Owners(NamedTuple):
    """What was found: distributions, scripts, and what ``import`` and metadata lead to."""

    ours: Distribution | None
    real: Distribution | None
    here: scripts.Script | None
    on_path: scripts.Script | None
    package: str | None  # the file that an import runs first
    is_facade: bool  # whether that is ours
    metadata: Distribution | None

    @property
    def installed(self) -> list[Distribution]:
        """Those that have the command, ours first."""
        return [one for one in (self.ours, self.real) if one]

    @property
    def of_import(self) -> str:
        """Who answers to ``import gunicorn`` and ``python -m gunicorn``."""
        if self.package is None:
            return NOBODY
        return MONOCEROS if self.is_facade else GUNICORN

    @property
    def of_metadata(self) -> str:
        """Who answers to ``importlib.metadata``."""
        if self.metadata is None:
            return NOBODY
        return MONOCEROS if isinstance(self.metadata, Facade) else GUNICORN

    def of_script(self, script: scripts.Script | None) -> str:
        """Who answers where a script is run."""
        if script is None:
            return NOBODY
        if script.package == NAME:
            # It imports the name, like anybody else.
            return self.of_import if script.is_of_this_environment else GUNICORN
        return MONOCEROS if script.package == "monoceros" else OTHER


def collect() -> Owners:
    """Look at the environment of this interpreter, and at the PATH."""
    ours = find_distribution(OURS)
    real = next((one for one in distributions(name=NAME) if not isinstance(one, Facade)), None)
    installed = [one for one in (ours, real) if one]
    package, is_facade = _find_package()
    return Owners(
        ours,
        real,
        scripts.find_of(installed),
        scripts.find_on_path(),
        package,
        is_facade,
        find_distribution(NAME),
    )


def find_distribution(name: str) -> Distribution | None:
    """Return a distribution by its name, if it is there."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _find_package() -> tuple[str | None, bool]:
    """Return what other processes import, whatever was decided for this one."""
    finder = find_installed()
    real = (finder or Finder(first=False)).find_real()
    found = real or (find_facade() if finder else None)
    return (found.origin if found else None), found is not real
