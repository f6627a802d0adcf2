"""Deployments of real life load as they mean, and start and serve."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monoceros.compat import finder
from monoceros.config import Config, load
from tests.configurations import machine
from tests.configurations.cases import Case, Command, read_cases, run_script
from tests.configurations.deployment import Answer, Deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CASES = read_cases()
REFUSED = [case for case in CASES if case.said("refused")]
SERVED = [case for case in CASES if not case.said("refused")]
NEEDS = {"django_site": "django", "flask_app.py": "flask"}


def _facade_modules() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == finder.NAME]


@pytest.fixture
def here() -> Iterator[Path]:
    """A directory with a short name, as unix sockets need it."""
    with tempfile.TemporaryDirectory(prefix="case") as name:
        yield Path(name).resolve()


@pytest.fixture
def command(case: Case, here: Path, tmp_path: Path) -> Command:
    """What the shell makes of a case, whose files are there."""
    frameworks = (NEEDS.get(source) for source, _ in case.applications)
    finder.install(first=True)
    for module in filter(None, [*frameworks, *case.said("needs")]):
        # Not by an import: some have a say in all that this process does from then on.
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    case.write(here)
    return run_script(case.script, here, tmp_path)


@pytest.fixture
def read(command: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Config]:
    """Reads the configuration within this process, as the program of that name would."""

    def read_as(prog: str) -> Config:
        known = set(sys.modules)
        with monkeypatch.context() as patch:
            machine.pretend(patch.setattr)
            patch.chdir(here)
            patch.setattr(sys, "path", sys.path[:])
            patch.setattr("os.environ", dict(command.environ))
            # What a file sets there is not for other tests.
            for name in _facade_modules():
                patch.delitem(sys.modules, name)
            cfg = load(command.argv, command.environ, str(here), prog)
        for name in set(sys.modules) - known:
            if name in _facade_modules():
                del sys.modules[name]
                continue
            file = getattr(sys.modules[name], "__file__", None)
            if name == "__config__" or (file and Path(file).is_relative_to(here)):
                del sys.modules[name]
        return cfg

    return read_as


@pytest.fixture
def cfg(read: Callable[[str], Config], command: Command) -> Config:
    """The configuration."""
    return read(command.prog)


def _ids(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def test_there_are_enough_cases() -> None:
    assert len(SERVED) >= 40
    assert len(set(_ids(CASES))) == len(CASES)


@pytest.mark.parametrize("case", SERVED, ids=_ids(SERVED))
def test_configures(case: Case, cfg: Config, here: Path) -> None:
    for name, literal, origin in case.settings:
        known = name in cfg.settings
        value = cfg.settings[name].value if known else getattr(cfg, name)
        assert value == ast.literal_eval(literal.replace("$HERE", str(here))), name
        if origin:
            assert cfg.origin(name).replace(f"{here}/", "") == origin, name
    _compare(case.said("warning"), cfg.warnings)
    for pattern in case.said("note"):
        assert any(re.search(pattern, note) for note in cfg.notes), cfg.notes


@pytest.mark.parametrize("case", SERVED, ids=_ids(SERVED))
def test_means_the_same_under_the_other_name(
    case: Case, cfg: Config, read: Callable[[str], Config], command: Command
) -> None:
    other = read("monoceros" if command.prog == "gunicorn" else "gunicorn")
    for name, value in cfg.values().items():
        if cfg.is_given(name) and not callable(value):
            assert other.values()[name] == value, name
            assert other.origin(name) == cfg.origin(name)


def _compare(patterns: list[str], lines: tuple[str, ...]) -> None:
    assert len(patterns) == len(lines), lines
    for pattern, line in zip(patterns, lines, strict=True):
        assert re.search(pattern, line)


@pytest.mark.process
@pytest.mark.parametrize("case", REFUSED, ids=_ids(REFUSED))
def test_refuses(case: Case, command: Command, here: Path, tmp_path: Path) -> None:
    deployment = Deployment(command, command.argv, here, tmp_path)
    try:
        assert deployment.process.wait(20) == 1, deployment.tell()
        for pattern in case.said("refused"):
            deployment.wait_line(deployment.error_log, pattern)
    finally:
        deployment.close()


@pytest.mark.process
@pytest.mark.parametrize("case", SERVED, ids=_ids(SERVED))
def test_serves(case: Case, command: Command, cfg: Config, here: Path, tmp_path: Path) -> None:
    addresses = [one if "unix:" in one else "127.0.0.1:0" for one in cfg.bind]
    argv = [f"--bind={one}" for one in addresses] + _without_addresses(command.argv)
    deployment = Deployment(command, argv, here, tmp_path)
    if cfg.errorlog != "-":
        deployment.error_log = here / cfg.errorlog
    try:
        Play(case, deployment, addresses[0]).perform()
    finally:
        deployment.close()


def _without_addresses(argv: list[str]) -> list[str]:
    options = ("-b", "--bind")
    return [
        word
        for place, word in enumerate(argv)
        if not word.startswith(options) and not (place and argv[place - 1] in options)
    ]


class Play:
    """Goes through the outcome of a case."""

    def __init__(self, case: Case, deployment: Deployment, address: str) -> None:
        self.case = case
        self.deployment = deployment
        self.address = address
        self.answer = Answer(0, {}, "")
        self.expected = list(case.said("warning"))

    def perform(self) -> None:
        """Take all steps, with a request before them and the end after them."""
        steps = self.case.outcome
        if steps[0].verb not in ("ask", "daemon"):
            self.ask("/")
        for verb, rest in steps:
            getattr(self, verb)(rest)
        if not self.case.said("stop"):
            self.stop()
        for line in self.deployment.find_trouble():
            told = any(re.search(pattern, line) for pattern in self.expected)
            assert told, self.deployment.tell()

    def needs(self, _module: str) -> None:
        pass  # seen to before

    def daemon(self, pidfile: str) -> None:
        self.deployment.follow_daemon(pidfile)
        self.ask("/")

    def ask(self, rest: str) -> None:
        path, *fields = rest.split(" | ")
        pairs = (field.partition(": ") for field in fields)
        named = {name: value for name, _, value in pairs}
        self.answer = self.deployment.get(self.address, path, named)
        assert self.answer.status == 200, self.deployment.tell()

    def body(self, pattern: str) -> None:
        assert re.search(pattern, self.answer.body), self.answer.body

    def header(self, rest: str) -> None:
        name, _, pattern = rest.partition(": ")
        assert re.fullmatch(pattern, self.answer.headers[name])

    def boots(self, count: str) -> None:
        self.deployment.wait_line(self.deployment.error_log, r"Booting worker with pid", int(count))

    def log(self, pattern: str) -> None:
        self.expected.append(pattern)
        self.deployment.wait_line(self.deployment.error_log, pattern)

    def stdout(self, pattern: str) -> None:
        self.deployment.wait_line(self.deployment.output, pattern)

    def silent(self, pattern: str) -> None:
        text = self.deployment.output.read_text("utf-8")
        assert not re.search(pattern, text), text

    def file(self, rest: str) -> None:
        path, _, pattern = rest.partition(" ")
        self.deployment.wait_line(self.deployment.here / path, pattern)

    def mode(self, rest: str) -> None:
        path, _, octal = rest.partition(" ")
        mode = (self.deployment.here / path).stat().st_mode & 0o777
        assert mode == int(octal, 8), oct(mode)

    def signal(self, name: str) -> None:
        self.deployment.signal(name)

    def stop(self, _rest: str = "") -> None:
        assert self.deployment.end() == 0, self.deployment.tell()

    def warning(self, pattern: str) -> None:
        self.log(pattern)

    def note(self, pattern: str) -> None:
        self.log(pattern)
