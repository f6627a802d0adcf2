"""What a worker reports of its modules, and that reporting never holds it up."""

from __future__ import annotations

import importlib.util
import os
import select
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monoceros.workers import modules
from monoceros.workers.modules import Board, Modules, decode, failed_files, module_files, source_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY = Path(os.__file__).parent


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def reporter(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> Modules:
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    made = Modules(pipe[1], Board(), 7)
    made.begin()
    return made


def read(pipe: tuple[int, int]) -> list[str]:
    try:
        return [path for _, path in decode(os.read(pipe[0], 1 << 20))]
    except BlockingIOError:
        return []


def tell(reporter: Modules, pipe: tuple[int, int]) -> list[str]:
    """Report all there is, which is more than a pipe takes where this process has many modules."""
    told: list[str] = []
    while True:
        reporter.report()
        lines = read(pipe)
        if not lines:
            return told
        told += lines


def load(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(name)
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, name, module)


def test_reports_what_is_new(
    reporter: Modules, pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sys.dont_write_bytecode
    load("one_module", tmp_path / "one.py", monkeypatch)
    first = tell(reporter, pipe)
    assert str(tmp_path / "one.py") in first
    assert os.__file__ not in first
    assert len(first) == len(set(first))
    load("another_module", tmp_path / "two.py", monkeypatch)
    assert tell(reporter, pipe) == [str(tmp_path / "two.py")]


def test_tells_a_new_watcher_everything(pipe: tuple[int, int]) -> None:
    board = Board()
    reporter = Modules(pipe[1], board, 1)
    reporter.report()
    everything = read(pipe)
    board.watcher += 1
    reporter.report()

    assert read(pipe) == everything


def test_knows_when_it_was_replaced(pipe: tuple[int, int]) -> None:
    board = Board()
    reporter = Modules(pipe[1], board, 7)
    board.changed = 6
    assert not reporter.was_replaced()
    board.changed = 7
    assert reporter.was_replaced()


def test_first_failure_of_a_generation_is_news(pipe: tuple[int, int]) -> None:
    board = Board()
    workers = [Modules(pipe[1], board, generation) for generation in (7, 7, 8, 8)]

    assert [one.add_failure(OSError()) for one in workers] == [True, False, True, False]


def test_full_pipe_is_no_obstacle(
    reporter: Modules, pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {str(tmp_path / ("x" * 150) / f"{number}.py") for number in range(1000)}
    for number, path in enumerate(paths):
        load(f"module_number_{number}", Path(path), monkeypatch)

    assert paths <= set(tell(reporter, pipe))


def test_messages_are_atomic_and_no_path_is_too_long(
    reporter: Modules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(modules, "write", lambda _, data: sizes.append(len(data)))
    load("far_away", tmp_path / ("x" * select.PIPE_BUF), monkeypatch)
    for number in range(200):
        load(f"module_number_{number}", tmp_path / f"{number}.py", monkeypatch)
    reporter.report()

    assert sizes
    assert max(sizes) <= select.PIPE_BUF


def test_no_reader_is_no_error(reporter: Modules) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb"):  # noqa: PTH123
        Modules(write_end, Board(), 1).report()


def test_lazy_modules_stay_lazy(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text("raise RuntimeError('loaded')\n")
    spec = importlib.util.spec_from_file_location("lazy", tmp_path / "lazy.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert list(module_files([module, object(), None, sys])) == [str(tmp_path / "lazy.py")]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("/a/b.py", "/a/b.py"),
        ("/a/b.pyc", "/a/b.py"),
        ("/a/b.so", "/a/b.so"),
        (f"/a/__pycache__/b.{sys.implementation.cache_tag}.pyc", "/a/b.py"),
        (f"/a/__pycache__/b.{sys.implementation.cache_tag}.opt-2.pyc", "/a/b.py"),
    ],
)
def test_source_of(file: str, source: str) -> None:
    assert source_of(file) == source


def failure(folder: Path, **files: str) -> BaseException:
    """Import the module ``start`` out of these; return what it raises."""
    for name, text in files.items():
        folder.joinpath(f"{name}.py").write_text(text)
    code = compile(files["start"], str(folder / "start.py"), "exec")
    with pytest.raises(BaseException) as raised:  # noqa: PT011
        exec(code, {"__name__": "start"})
    return raised.value


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"start": "1 / 0"}, {"start.py"}),
        ({"start": "import bad_one", "bad_one": "1 / 0"}, {"start.py", "bad_one.py"}),
        ({"start": "import bad_two", "bad_two": "a b"}, {"start.py", "bad_two.py"}),
        (
            {"start": "try:\n import bad_three\nexcept Exception: exit()", "bad_three": "1 / 0"},
            {"start.py", "bad_three.py"},
        ),
        ({"start": "import not_there"}, {"start.py", "not_there.py", "not_there/__init__.py"}),
        ({"start": "open('no.json')"}, {"start.py", "no.json"}),
    ],
)
def test_files_behind_a_failed_import(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    expected: set[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = set(failed_files(failure(tmp_path, **files)))

    assert {name for name in expected if str(tmp_path / name) not in found} == set()
    assert not [path for path in found if Path(path).is_relative_to(LIBRARY / "importlib")]
