"""Atoms: Gunicorn's names, the fast path's values."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from monoceros.http.access import AccessFormat, Entry, escape
from monoceros.log import atoms
from monoceros.log.atoms import SafeAtoms, make_atoms
from tests.unit.log.support import ENVIRON, Request, Response, call

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.log.conftest import OpenLog

HOSTILE = "".join(map(chr, range(256)))


def safe(**environ: object) -> SafeAtoms:
    request = Request([("X-ID", "7"), ("X-LIST", "a"), ("X-LIST", "b")])
    return SafeAtoms(
        make_atoms(
            Response(),
            request,
            {**ENVIRON, **environ},
            timedelta(seconds=65, microseconds=7),
            "[t]",
        )
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("h", "192.0.2.7"),
        ("l", "-"),
        ("u", "-"),
        ("t", "[t]"),
        ("r", "GET /p?q=1 HTTP/1.1"),
        ("m", "GET"),
        ("U", "/p"),
        ("q", "q=1"),
        ("H", "HTTP/1.1"),
        ("s", "200"),
        ("B", 5),
        ("b", "5"),
        ("f", "-"),
        ("a", "probe/1"),
        ("T", 65),
        ("D", 65_000_007),
        ("M", 65_000),
        ("L", "65.000007"),
        ("p", f"<{os.getpid()}>"),
        ("{x-id}i", "7"),
        ("{X-Id}i", "7"),
        ("{X-LIST}i", "a,b"),
        ("{x-made-by}o", "app"),
        ("{RAW_URI}e", "/p?q=1"),
        ("{raw_uri}e", "/p?q=1"),
        ("{x-missing}i", "-"),
        ("Z", "-"),
    ],
)
def test_values(name: str, value: object) -> None:
    assert safe()[name] == value


def test_the_user_of_basic_credentials() -> None:
    assert safe(HTTP_AUTHORIZATION="Basic YSJiOmM=")["u"] == 'a\\"b'


def test_nothing_can_be_forged() -> None:
    value = safe(HTTP_USER_AGENT=HOSTILE)["a"]
    assert isinstance(value, str)
    assert not re.search(r'[\x00-\x1f\x7f]|(?<!\\)(\\\\)*"', value)


def test_objects_of_the_application_forge_nothing_either() -> None:
    assert safe(**{"my.list": ["a\n", '"']})["{my.list}e"] == "['a\\\\n', '\\\"']"
    assert safe(**{"my.error": ValueError("a\nb")})["{my.error}e"] == "a\\x0ab"


def test_escaping_is_that_of_the_fast_path() -> None:
    assert atoms.escape(HOSTILE) == escape(HOSTILE)


@pytest.mark.parametrize("agent", ["plain", 'a "quote"', "\xc3\xa9", HOSTILE, "snow \u2603"])
def test_lines_are_those_of_the_fast_path(agent: str, open_log: OpenLog, access_path: Path) -> None:
    form = '%(h)s %(l)s %(u)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s %({X-Made-By}o)s 100%%'
    log = open_log("--access-logfile", str(access_path), "--access-logformat", form)
    call(log, HTTP_USER_AGENT=agent)
    environ = {**ENVIRON, "HTTP_USER_AGENT": agent}
    entry = Entry(environ, "200 OK", Response().headers, 5, 1_500_007, "")
    assert access_path.read_bytes() == AccessFormat(form).line(entry)
