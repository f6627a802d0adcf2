"""Reads ``cases/*.md``; the README defines the notation."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
APPLICATIONS = FOLDER / "applications"
PROGRAMS = ("gunicorn", "monoceros")
WRAPPERS = ("ddtrace-run", "newrelic-admin", "poetry", "python", "tini", "uv")

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REPORT = """\
#!/bin/sh
printf '%s\\0' "${0##*/}" "$@"
printf '\\n\\0'
exec env -0
"""


class Setting(NamedTuple):
    """A line of the block ``settings``; ``origin`` may be empty."""

    name: str
    literal: str
    origin: str


class Step(NamedTuple):
    """A line of the block ``outcome``."""

    verb: str
    rest: str


class Case(NamedTuple):
    """One deployment."""

    name: str
    files: dict[str, str]
    applications: list[tuple[str, str]]
    script: str
    settings: list[Setting]
    outcome: list[Step]

    def said(self, verb: str) -> list[str]:
        """Return what all steps with this verb say."""
        return [step.rest for step in self.outcome if step.verb == verb]

    def write(self, folder: Path) -> None:
        """Put the files and applications in place."""
        for source, target in self.applications:
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            if APPLICATIONS.joinpath(source).is_dir():
                shutil.copytree(APPLICATIONS / source, path, ignore=shutil.ignore_patterns("__*__"))
            else:
                shutil.copyfile(APPLICATIONS / source, path)
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")


class Command(NamedTuple):
    """What the shell makes of a script."""

    prog: str
    argv: list[str]
    environ: dict[str, str]


def run_script(script: str, here: Path, tools: Path) -> Command:
    """Run a script in ``here``, where all programs only tell how they were called."""
    for name in (*PROGRAMS, *WRAPPERS):
        tool = tools / name
        tool.write_text(_REPORT)
        tool.chmod(0o755)
    kept = {name: os.environ[name] for name in os.environ if name.startswith("MONOCEROS_")}
    environ = {**kept, "HOME": str(here), "PATH": f"{tools}:{os.environ['PATH']}", "PWD": str(here)}
    done = subprocess.run(
        ["/bin/sh", "-euc", script], cwd=here, env=environ, capture_output=True, check=True
    )
    words, _, variables = done.stdout.decode().partition("\n\0")
    argv = words.split("\0")[:-1]
    start = next(place for place, word in enumerate(argv) if word in PROGRAMS)
    pairs = (line.partition("=") for line in variables.split("\0") if line)
    return Command(argv[start], argv[start + 1 :], {name: text for name, _, text in pairs})


def _setting(line: str) -> Setting:
    assignment, _, origin = line.partition(" <- ")
    name, _, literal = assignment.partition(" = ")
    return Setting(name, literal, origin)


def _step(line: str) -> Step:
    verb, _, rest = line.partition(" ")
    return Step(verb, rest)


def _application(line: str) -> tuple[str, str]:
    source, _, target = line.partition(" as ")
    return source, target


def _read(path: Path) -> list[Case]:
    cases = []
    for section in path.read_text("utf-8").split("\n## ")[1:]:
        title = section.partition("\n")[0]
        matches = list(_BLOCK.finditer(section))
        files = {match[2]: match[3] for match in matches if match[2]}
        blocks = {match[1]: match[3] for match in matches if not match[2]}
        cases.append(
            Case(
                f"{path.stem}: {title}",
                files,
                [_application(line) for line in blocks["applications"].splitlines()],
                blocks["sh"],
                [_setting(line) for line in blocks["settings"].splitlines()],
                [_step(line) for line in blocks["outcome"].splitlines()],
            )
        )
    return cases


def read_cases() -> list[Case]:
    """Return all cases."""
    return [case for path in sorted(FOLDER.glob("cases/*.md")) for case in _read(path)]
