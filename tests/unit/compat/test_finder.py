"""What the name ``gunicorn`` leads to: the real package, the facade, or nothing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import monoceros
from monoceros import paste
from monoceros.compat import finder
from monoceros.compat.metadata import Facade
from monoceros.identity import GUNICORN, GUNICORN_VERSION

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

PACKAGE = Path(monoceros.__file__).parent
FACADE = PACKAGE / "compat/facade/gunicorn/__init__.py"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a search path without third parties; whatever the test installs is undone."""
    others = [one for one in sys.meta_path if not isinstance(one, finder.Finder)]
    monkeypatch.setattr(sys, "meta_path", others)
    own = [one for one in sys.path if Path(one).name not in ("site-packages", "dist-packages")]
    monkeypatch.setattr(sys, "path", [*own, str(tmp_path)])
    monkeypatch.delitem(sys.modules, GUNICORN, raising=False)
    return tmp_path


def add_package(folder: Path) -> Path:
    """Put the real package there, as far as it matters."""
    file = folder / "gunicorn/__init__.py"
    file.parent.mkdir()
    file.touch()
    importlib.invalidate_caches()
    return file


def add_metadata(folder: Path) -> None:
    """Put metadata of the real package there."""
    info = folder / "gunicorn-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gunicorn\nVersion: 1.2.3\n")
    importlib.invalidate_caches()


def found() -> str | None:
    """Return the file that ``import gunicorn`` runs."""
    spec = importlib.util.find_spec(GUNICORN)
    return spec.origin if spec else None


def versions() -> list[str]:
    """Return the versions of all distributions of the name."""
    every = importlib.metadata.distributions()
    return [one.version for one in every if one.metadata["Name"] == GUNICORN]


@pytest.mark.parametrize("first", [False, True])
def test_the_facade_answers_where_nobody_else_does(first: bool) -> None:
    finder.install(first=first)

    assert found() == str(FACADE)
    assert importlib.metadata.version(GUNICORN) == GUNICORN_VERSION


def test_the_real_one_goes_first(folder: Path) -> None:
    finder.install(first=False)
    package = add_package(folder)

    assert found() == str(package)


def test_the_facade_goes_first_where_the_arbiter_is_ours(folder: Path) -> None:
    add_package(folder)
    finder.install(first=True)

    assert found() == str(FACADE)


def test_a_mere_folder_is_no_package(folder: Path) -> None:
    (folder / "gunicorn").mkdir()
    (folder / "gunicorn/production.py").touch()
    finder.install(first=False)

    assert found() == str(FACADE)


def test_other_names_are_left_alone(folder: Path) -> None:
    (folder / "gunicorn_of_others.py").touch()
    importlib.invalidate_caches()
    finder.install(first=True)

    assert importlib.util.find_spec("gunicorn_of_others")
    assert importlib.util.find_spec("gunicorn_of_nobody") is None
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("gunicorn_of_nobody")


@pytest.mark.parametrize(
    ("calls", "first"),
    [([False, False], False), ([False, True], True), ([True, False], True), ([True, True], True)],
)
def test_it_is_installed_once(calls: list[bool], first: bool) -> None:
    for call in calls:
        finder.install(first=call)

    (one,) = (one for one in sys.meta_path if isinstance(one, finder.Finder))
    assert one is finder.find_installed()
    assert one.first is first


def test_without_the_facade_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "__file__", "/nowhere/finder.py")
    finder.install(first=True)

    assert found() is None


class Hook:
    """A finder in front that asks all others, as agents have it that instrument packages."""

    def __init__(self) -> None:
        self.asking = False

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if self.asking:
            return None
        self.asking = True
        try:
            return importlib.util.find_spec(name)
        finally:
            self.asking = False


def test_finders_that_ask_each_other() -> None:
    finder.install(first=False)
    sys.meta_path.insert(0, Hook())

    assert found() == str(FACADE)


# -- metadata


@pytest.mark.parametrize("first", [False, True])
def test_the_real_metadata_go_first(folder: Path, first: bool) -> None:
    add_metadata(folder)
    finder.install(first=first)

    assert importlib.metadata.version("Gunicorn") == "1.2.3"
    assert versions() == ["1.2.3"]


def test_all_distributions_have_it_once() -> None:
    finder.install(first=False)
    finder.install(first=True)

    assert versions() == [GUNICORN_VERSION]


def test_no_folder_has_it(folder: Path) -> None:
    """Installers ask like this, and would take it for theirs."""
    finder.install(first=False)

    assert not list(importlib.metadata.distributions(path=[str(folder)], name=GUNICORN))
    assert list(importlib.metadata.distributions(path=sys.path, name=GUNICORN))


def test_the_metadata_tell_whose_they_are() -> None:
    finder.install(first=False)
    facade = importlib.metadata.distribution(GUNICORN)

    assert isinstance(facade, Facade)
    assert "Monoceros's facade" in facade.metadata["Summary"]
    assert facade.read_text("top_level.txt") == "gunicorn\n"
    assert facade.files is None
    assert facade.read_text("RECORD") is None
    assert Path(str(facade.locate_file("gunicorn/__init__.py"))) == FACADE


def test_entry_points_are_there() -> None:
    finder.install(first=False)
    points = importlib.metadata.distribution(GUNICORN).entry_points

    assert [(one.group, one.name) for one in points] == [("paste.server_runner", "main")]
    assert [one.load() for one in points] == [paste.serve_as_gunicorn]
    assert set(points) <= set(importlib.metadata.entry_points(group="paste.server_runner"))


# -- processes


def run(*code: str) -> list[str]:
    """Run a line each in a fresh interpreter, and return the words that they print."""
    command = [sys.executable, "-S", "-c", "\n".join(code)]
    environ = {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=True)
    return done.stdout.split()


INSTALL = "from monoceros.compat.finder import install; install(first=False)"


def test_it_imports_next_to_nothing() -> None:
    """Every process of an environment pays for it."""
    before = run("import sys", "print(*sys.modules)")
    after = run("import sys", INSTALL, "print(*sys.modules)")

    ours = {f"monoceros{part}" for part in ("", "._version", ".compat", ".compat.finder")}
    assert set(after) - set(before) == ours


@pytest.mark.parametrize("module", ["gunicorn", "gunicorn.app.wsgiapp"])
def test_modules_can_be_run(module: str) -> None:
    code = f"import runpy, sys; sys.argv[1:] = ['--version']; runpy.run_module({module!r}, "
    environ = {"PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", f"{INSTALL}; {code} run_name='__main__', alter_sys=True)"]
    done = subprocess.run(command, env=environ, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"gunicorn (version {GUNICORN_VERSION})\nmonoceros ")
