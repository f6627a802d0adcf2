"""What counts as a change to a file."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from monoceros.arbiter.watchlist import ROUND, Signature, Watchlist, differ

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOUR_NS = 3600 * 10**9


def write_anew(file: Path) -> None:
    file.write_text("other")


def write_same_size(file: Path) -> None:
    file.write_text("TEXT")
    os.utime(file, ns=(0, 1))


def replace_by_rename(file: Path) -> None:
    """As editors do, and with everything but the inode as it was."""
    stat = file.stat()
    new = file.with_name("new")
    new.write_text("TEXT")
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.rename(file)


def delete_and_create(file: Path) -> None:
    file.unlink()
    file.write_text("text")
    os.utime(file, ns=(0, 2))


def delete(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    "change", [write_anew, write_same_size, replace_by_rename, delete_and_create, delete]
)
@pytest.mark.parametrize("folder", ["own", "site-packages"])
def test_change_is_found_once(tmp_path: Path, folder: str, change: Callable[[Path], None]) -> None:
    file = tmp_path / folder / "file.py"
    file.parent.mkdir()
    file.write_text("text")
    watched = Watchlist([])
    watched.add(str(file))
    assert watched.scan(whole=True) == []
    change(file)

    assert watched.scan(whole=True) == [str(file)]
    assert watched.scan(whole=True) == []


def test_rights_are_no_change(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text("text")
    watched = Watchlist([str(file)])
    file.chmod(0o600)
    os.link(file, tmp_path / "other")

    assert watched.scan() == []


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (Signature(1, 2, 3, 4), False),
        (Signature(9, 2, 3, 4), True),
        (Signature(1, 9, 3, 4), True),
        (Signature(1, 2, 9, 4), False),  # the file system makes up its inode numbers
        (Signature(1, 2, 3, 9), False),
        (Signature(1, 2, 9, 9), True),
    ],
)
def test_signatures(now: Signature, changed: bool) -> None:
    assert differ(Signature(1, 2, 3, 4), now) is changed


def test_missing_file_appears(tmp_path: Path) -> None:
    file = tmp_path / "later.py"
    watched = Watchlist([])
    assert not watched.add(str(file), 0)
    assert watched.scan() == []
    file.touch()

    assert watched.scan() == [str(file)]


@pytest.mark.parametrize(("ago_ns", "changed"), [(HOUR_NS, True), (-HOUR_NS, False)])
def test_file_changed_before_it_was_known(tmp_path: Path, ago_ns: int, changed: bool) -> None:
    file = tmp_path / "file.py"
    file.touch()
    os.utime(file, ns=(0, 0))  # what a copy keeps does not count
    watched = Watchlist([])

    assert watched.add(str(file), time.time_ns() - ago_ns) is changed
    assert watched.add(str(file), 0) is False  # known by now
    assert watched.check_since(time.time_ns() - ago_ns) == [str(file)] * changed


def test_patterns_find_new_files(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "one.html").touch()
    (tmp_path / "one.html.pyc").touch()
    pattern, nothing = f"{tmp_path}/**/*.html*", f"{tmp_path}/*.none"
    watched = Watchlist([pattern, nothing])
    assert len(watched) == 1
    assert watched.empty_patterns() == [nothing]
    two = tmp_path / "deep" / "er" / "two.html"
    two.touch()

    assert watched.scan() == [str(two)]
    assert watched.scan() == []
    two.unlink()
    assert watched.scan() == [str(two)]


def test_names_that_events_may_be_about(tmp_path: Path) -> None:
    watched = Watchlist([f"{tmp_path}/app.py", f"{tmp_path}/*.html"])

    assert watched.folders == {str(tmp_path)}
    for name, expected in {"app.py": True, "x.html": True, "app.pyc": False, "db": False}.items():
        assert watched.is_watched(f"/somewhere/else/{name}") is expected


def test_installed_files_are_looked_at_in_turn(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    files = [folder / f"m{number}.py" for number in range(3 * ROUND)]
    watched = Watchlist([])
    for file in files:
        file.touch()
        watched.add(str(file))
    for file in files:
        file.write_text("x")
    found = [watched.scan() for _ in range(ROUND)]

    assert max(map(len, found)) < len(files) / 2
    assert sorted(path for part in found for path in part) == sorted(map(str, files))
