"""The pid file: atomic, readable, never somebody else's."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monoceros.arbiter.pidfile import Pidfile, PidfileError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dead_pid() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_create_and_remove(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pidfile = Pidfile(str(path))
    pidfile.create(4321)

    assert path.read_text() == "4321\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["pid"]
    pidfile.remove(4321)
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "\n", "no number", "-5", "0", "\xff"])
def test_file_without_a_process_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "pid"
    path.write_text(text)
    Pidfile(str(path)).create(4321)

    assert path.read_text() == "4321\n"


def test_file_of_a_dead_process_is_replaced(tmp_path: Path, dead_pid: int) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{dead_pid}\n")
    Pidfile(str(path)).create(4321)

    assert path.read_text() == "4321\n"


def test_file_of_a_living_process_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getppid()}\n")

    with pytest.raises(PidfileError, match=f"PID {os.getppid()} .*'{path}'.*remove the file"):
        Pidfile(str(path)).create(4321)
    assert path.read_text() == f"{os.getppid()}\n"


def test_own_pid_left_by_an_earlier_life_is_fine(tmp_path: Path) -> None:
    # In a container the arbiter is process 1 every time.
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    Pidfile(str(path)).create(os.getpid())

    assert path.read_text() == f"{os.getpid()}\n"


def test_file_that_meanwhile_is_another_ones_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pidfile = Pidfile(str(path))
    pidfile.create(4321)
    path.write_text("99\n")
    pidfile.remove(4321)

    assert path.read_text() == "99\n"


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "pid"

    with pytest.raises(PidfileError, match=r"Cannot write the pid file '.*nowhere/pid'"):
        Pidfile(str(path)).create(4321)


def test_failure_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.mkdir()

    with pytest.raises(PidfileError):
        Pidfile(str(path)).create(4321)
    assert [one.name for one in tmp_path.iterdir()] == ["pid"]


def test_relative_path_survives_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pidfile = Pidfile("pid")
    pidfile.create(4321)
    monkeypatch.chdir("/")
    pidfile.remove(4321)

    assert not (tmp_path / "pid").exists()
