"""What the watcher tells the arbiter, and what it clears away for the workers."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import threading
from pathlib import Path

import pytest

from monoceros.arbiter import watcher
from monoceros.arbiter.watcher import discard_byte_code
from monoceros.arbiter.watchnews import CHANGED, Plan, send_news, split_news


def test_news_arrive_as_they_were_sent() -> None:
    news = [("changed", "2 /a\nb c\udcff.py"), ("warning", "äöü"), ("warning", "x" * 20_000)]
    read_end, write_end = os.pipe()
    for kind, text in news:
        send_news(write_end, kind, text)
    os.close(write_end)
    with open(read_end, "rb") as pipe:  # noqa: PTH123
        data = pipe.read()

    assert list(split_news(data)) == news


@pytest.mark.parametrize(
    ("mode", "mtime_ns", "size", "left"),
    [
        (py_compile.PycInvalidationMode.TIMESTAMP, 5 * 10**9 + 1, 4, False),
        (py_compile.PycInvalidationMode.TIMESTAMP, 6 * 10**9, 4, True),  # seen to be old
        (py_compile.PycInvalidationMode.TIMESTAMP, 5 * 10**9, 6, True),
        (py_compile.PycInvalidationMode.CHECKED_HASH, 5 * 10**9, 4, True),
        (py_compile.PycInvalidationMode.UNCHECKED_HASH, 5 * 10**9, 4, True),
    ],
)
def test_byte_code_that_could_be_mistaken_is_removed(
    tmp_path: Path,
    mode: py_compile.PycInvalidationMode,
    mtime_ns: int,
    size: int,
    left: bool,
) -> None:
    source = tmp_path / "module.py"
    source.write_text("a=1\n")
    os.utime(source, ns=(0, 5 * 10**9))
    py_compile.compile(str(source), invalidation_mode=mode)
    cached = Path(importlib.util.cache_from_source(str(source)))
    source.write_text("b=2\n".rjust(size, "#"))
    os.utime(source, ns=(0, mtime_ns))
    discard_byte_code(str(source))

    assert cached.exists() is left


@pytest.mark.parametrize("name", ["gone.py", "page.html", "x.so"])
def test_no_byte_code_is_no_error(tmp_path: Path, name: str) -> None:
    discard_byte_code(str(tmp_path / name))


def test_burst_of_changes_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / f"{number}.html" for number in range(4)]
    for file in files:
        file.touch()
    waiting = list(files)

    def save_one_more(seconds: float) -> None:
        if waiting:
            waiting.pop(0).write_text("x")

    reports, reports_end = os.pipe()
    os.set_blocking(reports, False)
    news, news_end = os.pipe()
    plan = Plan("poll", (f"{tmp_path}/*.html",))
    made = watcher.Watcher(plan, os.getppid(), reports, news_end, None)
    save_one_more(0)
    monkeypatch.setattr(watcher, "sleep", save_one_more)
    thread = threading.Thread(target=made.run)
    thread.start()
    told = list(split_news(os.read(news, 65536)))
    os.close(news)
    thread.join()
    for end in (reports, reports_end, news_end):
        os.close(end)

    assert told == [(CHANGED, f"4 {files[0]}")]
