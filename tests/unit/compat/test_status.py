"""What is said of who answers to ``gunicorn``, for every state that an environment can be in."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

from monoceros.compat import command, owners, remedies, status
from monoceros.compat.metadata import Facade
from monoceros.compat.owners import Owners
from monoceros.compat.scripts import Script

PYTHON = sys.executable
PLACE = Path(PYTHON).with_name("gunicorn")
FACADE = "/lib/monoceros/compat/facade/gunicorn/__init__.py"
REAL = "/lib/gunicorn/__init__.py"

BY_US = Script(PLACE, "monoceros", PYTHON)
BY_THEM = Script(PLACE, "gunicorn", PYTHON)
ELSEWHERE = Script(Path("/usr/bin/gunicorn"), "gunicorn", "/usr/bin/python3")
UNKNOWN = Script(PLACE, "", "/bin/sh")


class Installed(PathDistribution):
    """A distribution in this environment, of which there is nothing but what is asked for."""

    def __init__(self, name: str, version: str, installer: str) -> None:
        super().__init__(Path(__file__).parent)
        script = PLACE.relative_to(Path(PYTHON).parents[1])
        self._texts = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "RECORD": f"{script},,\n",
            "INSTALLER": f"{installer}\n",
        }

    def read_text(self, filename: object) -> str | None:
        return self._texts.get(str(filename))

    def locate_file(self, path: object) -> Path:
        return Path(PYTHON).parents[1] / str(path)


OURS = Installed("monoceros-gunicorn", "0.1.0", "pip")
THEIRS = Installed("gunicorn", "23.0", "pip")
OURS_BY_UV = Installed("monoceros-gunicorn", "0.1.0", "uv")

TO_HAVE_OURS = f"""
To have Monoceros only:
  {PYTHON} -m pip uninstall gunicorn
  {PYTHON} -m pip install --force-reinstall --no-deps monoceros-gunicorn==0.1.0"""
TO_HAVE_THEIRS = f"""
To have Gunicorn only:
  {PYTHON} -m pip uninstall monoceros-gunicorn
  {PYTHON} -m pip install --force-reinstall --no-deps gunicorn==23.0"""
CHOICE = TO_HAVE_OURS + TO_HAVE_THEIRS


def make(
    *installed: Distribution, here: Script | None, on_path: Script | None = None, package: str = ""
) -> Owners:
    """Return what is found in an environment; without more, its PATH has what is there."""
    ours = next((one for one in installed if one.name != "gunicorn"), None)
    real = next((one for one in installed if one.name == "gunicorn"), None)
    metadata = real or (Facade() if ours and package else None)
    return Owners(ours, real, here, on_path or here, package or None, package == FACADE, metadata)


def problems(found: Owners) -> list[str]:
    return list(status.find_problems(found))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (make(OURS, here=BY_US, package=FACADE), "Monoceros answers to the name."),
        (make(THEIRS, here=BY_THEM, package=REAL), "Gunicorn answers to the name."),
        (
            make(OURS, THEIRS, here=BY_THEM, package=REAL),
            "Gunicorn answers to the name. monoceros-gunicorn 0.1.0 is installed too, and to "
            f"uninstall one of them removes the command of the other.{CHOICE}",
        ),
        # A script of Gunicorn's that its uninstall left: it imports what there is.
        (make(OURS, here=BY_THEM, package=FACADE), "Monoceros answers to the name."),
    ],
)
def test_one_answers(found: Owners, verdict: str) -> None:
    assert problems(found) == []
    assert status.conclude(found) == verdict


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "find_distribution", lambda _: None)
    found = make(here=None)

    assert problems(found) == []
    assert status.conclude(found) == (
        "Nobody answers to the name. To have Monoceros do it:\n"
        f"  {PYTHON} -m pip install 'monoceros[gunicorn]'"
    )


def test_the_path_does_not_have_it() -> None:
    found = make(OURS, here=BY_US, package=FACADE)._replace(on_path=None)

    assert problems(found) == []
    assert status.conclude(found) == (
        "Monoceros answers to the name. "
        f"Its command is not on the PATH, and so has to be called {PLACE}."
    )


GONE = f"put it at {PLACE}, and something took it away, as the uninstall of another distribution"


def test_an_uninstall_took_the_script_away() -> None:
    (told,) = problems(make(OURS, here=None, package=FACADE))

    assert told.startswith(f"The command is missing. monoceros-gunicorn 0.1.0 {GONE}")
    assert told.endswith(
        f"To bring it back:\n  {PYTHON} -m pip install --force-reinstall --no-deps "
        "monoceros-gunicorn==0.1.0"
    )


def test_an_uninstall_took_the_script_of_gunicorn_away() -> None:
    (told,) = problems(make(THEIRS, here=None, package=REAL))

    assert told.startswith(f"The command is missing. gunicorn 23.0 {GONE}")
    assert told.endswith("--no-deps gunicorn==23.0")


def test_something_took_the_script_of_both_away() -> None:
    (told,) = problems(make(OURS, THEIRS, here=None, package=REAL))

    assert told.startswith(
        f"The command is missing. monoceros-gunicorn 0.1.0 and gunicorn 23.0 {GONE}"
    )
    assert told.endswith(CHOICE)


def test_the_command_is_of_one_and_the_import_of_the_other() -> None:
    found = make(OURS, THEIRS, here=BY_US, package=REAL)

    assert problems(found) == [f"The name means more than one thing.{CHOICE}"]


def test_the_script_is_of_nobody() -> None:
    (told,) = problems(make(OURS, here=UNKNOWN, package=FACADE))

    assert told.startswith("The name means more than one thing. To install monoceros-gunicorn anew")


def test_nothing_is_installed_but_something_answers() -> None:
    (told,) = problems(make(here=None, package=REAL))

    assert told == "The name means more than one thing, and no distribution that is installed here."


def test_the_line_for_interpreters_is_not_run() -> None:
    (told,) = problems(make(OURS, here=BY_US))

    assert told.startswith("The name cannot be imported, because no interpreter runs monoceros_gun")
    assert told.endswith(remedies.reinstall(OURS))


def test_a_shell_finds_another_one() -> None:
    told = problems(make(OURS, here=BY_US, on_path=ELSEWHERE, package=FACADE))

    assert told == [
        "A shell finds /usr/bin/gunicorn, which is not of this environment. Activate the "
        f"environment, or write {PLACE}."
    ]


def test_another_one_does_not_matter_where_there_is_none() -> None:
    assert problems(make(here=None, on_path=ELSEWHERE)) == []


def test_the_table() -> None:
    found = make(OURS, THEIRS, here=BY_US, on_path=ELSEWHERE, package=REAL)

    assert list(status.list_answers(found)) == [
        f"  command    Monoceros   {PLACE}",
        "  on PATH    Gunicorn    /usr/bin/gunicorn, run by /usr/bin/python3",
        "  import     Gunicorn    /lib/gunicorn/__init__.py",
        "  metadata   Gunicorn    gunicorn 23.0",
        "  installed  monoceros-gunicorn 0.1.0, gunicorn 23.0",
    ]


def test_the_table_of_nothing() -> None:
    assert list(status.list_answers(make(here=None))) == [
        "  command    nobody",
        "  on PATH    nobody",
        "  import     nobody",
        "  metadata   nobody",
        "  installed  nothing",
    ]


def test_remedies_of_uv() -> None:
    assert remedies.reinstall(OURS_BY_UV) == (
        f"uv pip install --python {PYTHON} --reinstall --no-deps monoceros-gunicorn==0.1.0"
    )
    assert remedies.uninstall(OURS_BY_UV) == (
        f"uv pip uninstall --python {PYTHON} monoceros-gunicorn"
    )


# -- the command


@pytest.mark.parametrize(
    ("found", "code", "last"),
    [
        (make(OURS, here=BY_US, package=FACADE), 0, "Monoceros answers to the name."),
        (make(OURS, here=None, package=FACADE), 1, f"  {remedies.reinstall(OURS)}"),
    ],
)
def test_the_exit_code(
    found: Owners,
    code: int,
    last: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(owners, "collect", lambda: found)

    assert command.run(["status"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Who answers to gunicorn in {sys.prefix}:"
    assert lines[-1] == last


def test_what_is_found_here_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code = command.run(["status"])

    assert code == (1 if problems(owners.collect()) else 0)
    assert len(capsys.readouterr().out.splitlines()) > 7


@pytest.mark.parametrize("words", [[], ["wrong"], ["status", "more"]])
def test_wrong_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(words) == 2
    assert capsys.readouterr() == ("", "Usage: monoceros gunicorn-command status\n")


@pytest.mark.parametrize("words", [["--help"], ["status", "-h"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.run(words) == 0
    assert capsys.readouterr().out.startswith("Usage: monoceros gunicorn-command status\n\nTells")
