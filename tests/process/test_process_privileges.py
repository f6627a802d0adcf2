"""Users, groups, and having hardly any rights at all."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Server

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]

STRANGER = 12345  # a user without name, home and rights

APP = """\
import os
def app(environ, start_response):
    content = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [repr((os.getuid(), os.getgid(), sorted(os.getgroups()), len(content))).encode()]
"""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory that others may read, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


def a_member() -> tuple[pwd.struct_passwd, list[int]]:
    """Return a user other than root with groups, and the numbers of all of them."""
    for user in pwd.getpwall():
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        if user.pw_uid not in (0, STRANGER) and len(groups) > 1:
            return user, sorted(set(groups))
    pytest.skip("nobody here is in two groups")


def test_workers_become_the_user(server: Callable[..., Server]) -> None:
    srv = server(f"--user={STRANGER}", f"--group={STRANGER}", "app:app", files={"app.py": APP})

    assert srv.get().body.decode() == repr((STRANGER, STRANGER, [STRANGER], 0))


def test_initgroups(server: Callable[..., Server]) -> None:
    user, groups = a_member()
    group = grp.getgrgid(user.pw_gid).gr_name
    args = ("--user", user.pw_name, "--group", group, "--initgroups")
    srv = server(*args, "app:app", files={"app.py": APP})

    assert srv.get().body.decode() == repr((user.pw_uid, user.pw_gid, groups, 0))


def test_socket_and_pid_file(server: Callable[..., Server], tmp_path: Path) -> None:
    srv = server(
        *("--user", str(STRANGER), "--group", str(STRANGER), "--umask", "007", "--pid", "pid"),
        *("--bind", "unix:socket", "app:app"),
    )
    srv.wait_workers(1)
    of_socket = (tmp_path / "socket").stat()

    assert (of_socket.st_uid, of_socket.st_gid) == (STRANGER, STRANGER)
    assert stat.S_IMODE(of_socket.st_mode) == 0o770
    assert (tmp_path / "pid").read_text() == f"{srv.pid}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--user", "root"), "user 'root' can only be changed to by root; "),
        (("--group", "0"), "group 'root' can only be changed to by root; "),
        (("--initgroups",), f"groups of user {STRANGER}, who is not in the user database; "),
    ],
)
def test_what_only_root_may_is_refused_before_the_first_fork(
    stranger: Callable[..., subprocess.Popen[str]], args: tuple[str, ...], message: str
) -> None:
    process = stranger(*args)
    _, log = process.communicate(timeout=20)

    assert process.returncode == 1
    assert message in log
    assert f"the server runs as {STRANGER}. Set in: command line." in log
    assert "Booting" not in log
    assert "Traceback" not in log


def test_without_any_rights(stranger: Callable[..., subprocess.Popen[str]]) -> None:
    process = stranger("--workers", "1")
    assert process.stderr is not None
    url = lines = ""
    while not url:
        lines += (line := process.stderr.readline())
        assert line, lines
        url = line.partition("Listening at: ")[2].partition(" ")[0]
    with urlopen(url, data=bytes(2 << 20), timeout=20) as answer:
        assert answer.read().decode() == repr((STRANGER, STRANGER, [], 2 << 20))
    process.terminate()
    lines += process.communicate(timeout=20)[1]

    assert process.returncode == 0
    assert not re.search("WARNING|ERROR|CRITICAL|Traceback", lines), lines
    places = [Path(one) for one in ("/tmp", "/var/tmp", "/dev/shm")]
    files = [file for place in places if place.is_dir() for file in place.iterdir()]
    assert [file for file in files if file.lstat().st_uid == STRANGER] == []


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start servers as somebody who may write nowhere but where everybody may."""
    (tmp_path / "app.py").write_text(APP)
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [find_python(), "-m", "monoceros", "-b", "127.0.0.1:0", *args, "app:app"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            user=STRANGER,
            group=STRANGER,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=20)


ENVIRONMENT = {
    "PYTHONPATH": str(Path(monoceros.__file__).parents[1]),
    "HOME": "/nonexistent",
    "TMPDIR": "/nonexistent",
}


def find_python() -> str:
    """Return an interpreter that a stranger may run: this one, else the system's."""
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            command = [python, "-c", "import monoceros.cli"]
            subprocess.run(command, user=STRANGER, env=ENVIRONMENT, check=True, timeout=20)
            return python
    pytest.skip("no interpreter here may be run by everybody")
