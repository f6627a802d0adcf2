"""Typed configuration files: what mypy says about one that is right, and one that is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import monoceros
from monoceros.config import load

EXAMPLE = Path(__file__).with_name("gunicorn.conf.py")
SOURCES = Path(monoceros.__file__).parents[1]

# Each line that ends in a comment is wrong, with this code.
WRONG = """\
from monoceros.typing import *

def post_fork(server: Arbiter, worker: Worker) -> None:
    server.log.notice("x")  # attr-defined
    worker.cfg.no_such_setting  # attr-defined
    server.pid = 7  # misc
    int(server.cfg.timeout) + server.cfg.bind  # operator

def wrong(worker: Worker) -> None:
    pass

when_ready: WhenReady = wrong  # assignment
pre_request: PreRequest = wrong  # assignment
post_request: PostRequest = wrong  # assignment
nworkers_changed: NworkersChanged = post_fork  # assignment

def post_worker_init(worker: Worker, req: Request, resp: Response) -> None:
    req.method = "GET"  # misc
    resp.status + 1  # operator
"""

# The real classes have all that the protocols promise.
FITS = """\
from monoceros import typing
from monoceros.arbiter.loop import Arbiter
from monoceros.config import Config
from monoceros.workers.base import Worker
from monoceros.wsgi.exchange import RequestView, ResponseView

def arbiter(real: Arbiter) -> typing.Arbiter: return real
def worker(real: Worker) -> typing.Worker: return real
def config(real: Config) -> typing.Config: return real
def request(real: RequestView) -> typing.Request: return real
def response(real: ResponseView) -> typing.Response: return real
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str]]:
    """What one run of mypy says: file name, line and code of each error."""
    pytest.importorskip("mypy")
    directory = tmp_path_factory.mktemp("typing")
    for name, text in (
        ("right.py", EXAMPLE.read_text()),
        ("wrong.py", WRONG),
        ("fits.py", FITS),
    ):
        (directory / name).write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-pretty"]
    result = subprocess.run(
        [*command, "right.py", "wrong.py", "fits.py"],
        cwd=directory,
        env={**os.environ, "MYPYPATH": str(SOURCES), "MYPY_CACHE_DIR": str(directory / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode in (0, 1), result.stderr
    found = re.findall(r"^(\w+\.py):(\d+): error: .*\[([\w-]+)\]$", result.stdout, re.MULTILINE)
    return [(name, int(line), code) for name, line, code in found]


def test_the_example_loads() -> None:
    cfg = load(["--config", str(EXAMPLE), "app:app"], {}, str(EXAMPLE.parent))
    assert cfg.workers == 2
    assert cfg.when_ready.__name__ == "ready"


def test_the_example_is_right(verdicts: list[tuple[str, int, str]]) -> None:
    assert [one for one in verdicts if one[0] == "right.py"] == []


def test_the_real_classes_fit(verdicts: list[tuple[str, int, str]]) -> None:
    assert [one for one in verdicts if one[0] == "fits.py"] == []


def test_each_mistake_is_found(verdicts: list[tuple[str, int, str]]) -> None:
    expected = [
        ("wrong.py", number, line.partition("  # ")[2])
        for number, line in enumerate(WRONG.splitlines(), 1)
        if "  # " in line
    ]
    assert [one for one in verdicts if one[0] == "wrong.py"] == expected
