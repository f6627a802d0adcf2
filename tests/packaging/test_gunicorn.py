"""The name ``gunicorn``: who answers to it, in every state that installing can leave behind."""

from __future__ import annotations

import json
import re
import socket
import sys
import zipfile
from typing import TYPE_CHECKING, NamedTuple

import pytest

import monoceros
from monoceros.identity import GUNICORN_VERSION
from tests.packaging.builds import ROOT, run, succeed
from tests.packaging.sites import Site
from tests.packaging.tutorials import ADDRESS, TUTORIALS, Tutorial

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

US, THEM, NOBODY = "Monoceros", "Gunicorn", "nobody"


class Step(NamedTuple):
    """Something that is done, and who answers then: as a command, and to imports."""

    action: str
    command: str
    module: str
    code: int = 0


# Remedies are what ``status`` has said just before: the first or the second set of commands.
STEPS = (
    Step("install monoceros", NOBODY, NOBODY),
    Step("install monoceros[gunicorn]", US, US),
    # Ours first, then theirs: the last one has the command.
    Step("install gunicorn", THEM, THEM),
    Step("uninstall gunicorn", NOBODY, US, 1),
    Step("remedy 1", US, US),
    Step("install gunicorn", THEM, THEM),
    Step("uninstall monoceros-gunicorn", NOBODY, THEM, 1),
    Step("remedy 1", THEM, THEM),
    # Theirs first, then ours.
    Step("install monoceros[gunicorn]", US, THEM, 1),
    Step("remedy 1", US, US),
    Step("install gunicorn", THEM, THEM),
    Step("remedy 2", THEM, THEM),
    # As docs/migrating.md has it.
    Step("uninstall gunicorn", NOBODY, NOBODY),
    Step("install monoceros[gunicorn]", US, US),
)


@pytest.fixture(params=["pip", "uv"])
def site(request: pytest.FixtureRequest, uv: Path, wheelhouse: Path, tmp_path: Path) -> Site:
    """An environment of each installer."""
    return Site(tmp_path / "venv", request.param, uv, wheelhouse).create()


@pytest.fixture(scope="module")
def migrated(uv: Path, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An environment with Monoceros in Gunicorn's place."""
    site = Site(tmp_path_factory.mktemp("migrated") / "venv", "uv", uv, wheelhouse).create()
    needs = {name for one in TUTORIALS for name in one.needs}
    site.install("monoceros[gunicorn]", *sorted(needs))
    return site


def who_answers(site: Site, *command: str | Path) -> str:
    """Run a command that asks for the version; return whose it is."""
    answer = site.call(*command, "--version")
    if answer.returncode:
        assert re.search("not found|No such file|No module named", answer.stdout), answer.stdout
        return NOBODY
    return US if f"\nmonoceros {monoceros.__version__}, " in answer.stdout else THEM


def read_remedies(told: str) -> list[str]:
    """Return the sets of commands that ``status`` tells, as lines of a shell."""
    sets = re.findall(r"(?:^  \S.*\n)+", told.split("\n\n", 2)[2], re.MULTILINE)
    return [" && ".join(one.strip() for one in block.splitlines()) for block in sets]


def act(site: Site, action: str, remedies: list[str]) -> None:
    verb, what = action.split()
    if verb == "install":
        site.install(what)
    elif verb == "uninstall":
        site.uninstall(what)
    else:
        # As it stands there, with an answer to the question that pip asks.
        line = remedies[int(what) - 1].replace(" uninstall ", " uninstall -y ")
        succeed(site.call("sh", "-c", line))


def check_dependencies(site: Site) -> None:
    """Installers do not take the facade for Gunicorn: it is not theirs."""
    (packages,) = site.root.glob("lib/python*/site-packages")
    info = packages / "needy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: needy\nVersion: 1\nRequires-Dist: gunicorn\n"
    )
    pip = (site.python, "-m", "pip") if site.tool == "pip" else ("uv", "pip")
    python = () if site.tool == "pip" else ("--python", site.python)

    check = site.call(*pip, "check", *python)

    assert check.returncode == 1
    assert re.search("needy.* requires .*gunicorn.*, .*not installed", check.stdout)
    assert not re.search("^gunicorn ", site.call(*pip, "list", *python).stdout, re.MULTILINE)


def test_every_state_is_what_the_docs_say(site: Site) -> None:
    remedies: list[str] = []
    for number, (action, command, module, code) in enumerate(STEPS, 1):
        act(site, action, remedies)
        status = site.call("monoceros", "gunicorn-command", "status")
        about = f"step {number}, {action}:\n{status.stdout}"
        told = dict(re.findall(r"^  (command|on PATH|import|metadata) +(\w+)", status.stdout, re.M))
        remedies = read_remedies(status.stdout)

        assert (told["command"], told["on PATH"]) == (command, command), about
        assert (told["import"], told["metadata"]) == (module, module), about
        assert status.returncode == code, about
        assert who_answers(site, "sh", "-c", 'exec gunicorn "$@"', "sh") == command, about
        assert who_answers(site, site.python, "-m", "gunicorn") == module, about
        assert who_answers(site, site.python, "-m", "gunicorn.app.wsgiapp") == module, about
        for ours in (["monoceros"], [site.python, "-m", "monoceros"]):
            answer = succeed(site.call(*ours, "--version"))
            assert answer.startswith(f"monoceros (version {monoceros.__version__})"), about
    check_dependencies(site)


def test_what_the_project_of_a_resolver_asks_for(
    uv: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    """To replace one by the other in a list and to have it installed is one step, and safe."""
    site = Site(tmp_path / "venv", "uv", uv, wheelhouse).create()
    site.install("gunicorn")
    locked = tmp_path / "requirements.txt"
    compiled = ("uv", "pip", "compile", "--quiet", "--python", site.python, "-o", locked, "-")
    succeed(site.call("sh", "-c", 'echo "monoceros[gunicorn]" | "$@"', "sh", *compiled))

    succeed(site.call("uv", "pip", "sync", "--python", site.python, locked))

    assert succeed(site.call("monoceros", "gunicorn-command", "status")).endswith(
        "Monoceros answers to the name.\n"
    )


def test_monoceros_is_uninstalled_and_the_small_one_is_left(
    uv: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    site = Site(tmp_path / "venv", "uv", uv, wheelhouse).create()
    site.install("monoceros[gunicorn]")
    site.uninstall("monoceros")

    assert succeed(site.call(site.python, "-c", "pass")) == ""
    assert "No module named 'gunicorn'" in site.call(site.python, "-c", "import gunicorn").stdout


NAMES = """
import importlib.metadata as metadata, importlib.util as util
import gunicorn.app.wsgiapp
print(metadata.version("gunicorn"), gunicorn.__file__)
print([one.name for one in metadata.entry_points(group="paste.server_runner")])
"""


def test_programs_find_the_name(migrated: Site) -> None:
    version, file, *points = succeed(migrated.call(migrated.python, "-c", NAMES)).split(maxsplit=2)

    assert version == GUNICORN_VERSION
    assert file.endswith("/monoceros/compat/facade/gunicorn/__init__.py")
    assert points == ["['main', 'main']\n"]  # egg:monoceros and egg:gunicorn


def test_a_folder_of_that_name_is_not_in_the_way(migrated: Site, tmp_path: Path) -> None:
    """Many projects have their configuration files in one."""
    (tmp_path / "gunicorn").mkdir()
    (tmp_path / "gunicorn/production.py").touch()
    line = f"cd {tmp_path} && PYTHONSAFEPATH= python -m gunicorn --version"

    assert "monoceros" in succeed(migrated.call("sh", "-c", line))


def test_an_editable_monoceros_will_do(
    migrated: Site, uv: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    """Its folder is on the search path by a file that is read before ours."""
    site = Site(tmp_path / "venv", "uv", uv, wheelhouse).create()
    site.install("--no-deps", "monoceros-gunicorn", "setproctitle")
    (packages,) = site.root.glob("lib/python*/site-packages")
    (elsewhere,) = migrated.root.glob("lib/python*/site-packages")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/monoceros").symlink_to(elsewhere / "monoceros")
    (packages / "__editable__.monoceros-0.1.0.pth").write_text(f"{tmp_path}/src\n")

    assert who_answers(site, "gunicorn") == who_answers(site, site.python, "-m", "gunicorn") == US


# -- tutorials

CONFIGURATION = """\
bind = "0.0.0.0:8000"
workers = 2
timeout = 120
loglevel = "info"
"""
APPLICATION = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"It works"]
"""


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder as tutorials have it; the configuration file is there where a line names it."""
    (tmp_path / "myproject").mkdir()
    (tmp_path / "myproject/__init__.py").touch()
    (tmp_path / "myproject/wsgi.py").write_text(APPLICATION)
    return tmp_path


def make_namespace() -> list[str]:
    """Return a command that gives a program a network of its own, empty where none is needed."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    if sys.platform == "linux" and run("sh", "-c", " ".join([*command, "true"])).returncode == 0:
        return command
    with socket.socket() as probe:
        if probe.connect_ex(ADDRESS) == 0:
            pytest.skip("somebody has port 8000, and no network of its own is to be had")
    return []


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda one: one.line)
def test_tutorials(tutorial: Tutorial, project: Path, migrated: Site) -> None:
    if "gunicorn.conf.py" in tutorial.line:
        (project / "gunicorn.conf.py").write_text(CONFIGURATION)
    program = (sys.executable, ROOT / "tests/packaging/tutorials.py")
    words = (project, migrated.path, tutorial.line, str(tutorial.workers))

    seen = json.loads(succeed(run(*make_namespace(), *program, *words)))

    log = seen.pop("log")
    assert seen == {"page": "It works", "server": "gunicorn", "code": 0}, log
    assert f"Starting gunicorn {GUNICORN_VERSION} (monoceros {monoceros.__version__}" in log
    assert f"Listening at: {tutorial.listening} (" in log
    assert f"Using worker: {tutorial.worker}\n" in log
    assert log.count("Booting worker with pid") == tutorial.workers


# -- the wheel


def test_the_small_wheel(small: Path) -> None:
    archive = zipfile.ZipFile(small)
    (info,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    outside = {name for name in archive.namelist() if not name.startswith(info)}

    assert small.name == f"monoceros_gunicorn-{monoceros.__version__}-py3-none-any.whl"
    assert outside == {"_monoceros_gunicorn.py", "monoceros_gunicorn.pth"}
    assert archive.read("monoceros_gunicorn.pth") == b"import _monoceros_gunicorn\n"
    points = archive.read(f"{info}/entry_points.txt").decode()
    assert points.split() == ["[console_scripts]", "gunicorn", "=", "monoceros.__main__:main"]
    assert "Requires-Dist: monoceros>=" in archive.read(f"{info}/METADATA").decode()
    assert f"{info}/licenses/LICENSE" in archive.namelist()
