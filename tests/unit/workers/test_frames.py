"""What is left of a stack dump in the log."""

from __future__ import annotations

from pathlib import Path

import monoceros
from monoceros.workers.frames import names_current_thread, shorten

OURS = Path(monoceros.__file__).parent


def frame(path: str | Path, line: int, name: str) -> str:
    return f'  File "{path}", line {line} in {name}'


SERVED = [
    frame(OURS / "http/_request_py.py", 98, "_call"),
    frame(OURS / "workers/reactor.py", 120, "run_once"),
    frame(OURS / "__main__.py", 3, "<module>"),
    frame("<frozen runpy>", 88, "_run_code"),
]
MAIN = "Current thread 0x00007f3ae1b2c740 (most recent call first):"
OTHER = "Thread 0x00007f3ae0b2c740 (most recent call first):"


def dump(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_application_stands_out() -> None:
    application = [frame("/lib/re.py", 5, "match"), frame("/app.py", 7, "view")]

    assert shorten(dump(MAIN, *application, *SERVED)) == "\n".join([MAIN, *application])


def test_our_code_that_the_application_calls_is_kept() -> None:
    lines = [frame(OURS / "http/body.py", 9, "read"), frame("/app.py", 7, "view")]

    assert shorten(dump(MAIN, *lines, *SERVED)) == "\n".join([MAIN, *lines])


def test_without_an_application_our_frames_are_kept() -> None:
    lines = [frame("/lib/selectors.py", 1, "select"), *SERVED[1:3]]

    assert shorten(dump(MAIN, *SERVED)) == "\n".join([MAIN, *SERVED[:3]])
    assert shorten(dump(MAIN, *lines)) == "\n".join([MAIN, lines[0]])


def test_import_is_shown_without_the_machinery() -> None:
    lines = [
        frame("/app.py", 2, "<module>"),
        frame("<frozen importlib._bootstrap>", 241, "_call_with_frames_removed"),
        frame("/wsgi.py", 1, "<module>"),
        frame("<frozen importlib._bootstrap>", 1, "_find_and_load"),
        frame("/usr/lib/python3/importlib/__init__.py", 126, "import_module"),
    ]

    assert shorten(dump(MAIN, *lines, *SERVED)) == "\n".join([MAIN, lines[0], lines[2]])
    assert shorten(dump(MAIN, lines[1], *SERVED)) == "\n".join([MAIN, lines[1]])


def test_current_thread_comes_first() -> None:
    worker = frame("/lib/threading.py", 320, "wait")
    view = frame("/app.py", 7, "view")
    text = dump(OTHER, worker, "", MAIN, view, *SERVED)

    assert shorten(text) == "\n".join([MAIN, view, OTHER, worker])
    assert names_current_thread(text)
    assert not names_current_thread(dump(OTHER, worker, "..."))
    assert names_current_thread(dump(OTHER, "...", "Stack (most recent call first):", view))


def test_threads_that_only_serve_are_left_out() -> None:
    started = [frame("/lib/threading.py", n, "_bootstrap") for n in (1045, 1002)]
    serving = [frame(OURS / "workers/monitor.py", 9, "look"), *started]
    view = frame("/app.py", 7, "view")
    text = dump(OTHER, *serving, "", OTHER, view, *serving, "", MAIN, view, *SERVED)

    assert shorten(text) == "\n".join([MAIN, view, OTHER, view])
    assert shorten(dump(MAIN, *serving)).startswith(MAIN)


def test_long_text_is_cut_at_a_line() -> None:
    lines = [frame("/app.py", number, "view") for number in range(100)]
    whole = "\n".join([MAIN, *lines])
    short = shorten(dump(MAIN, *lines), 1000)
    kept, _, remark = short.rpartition("\n")

    assert whole.startswith(kept + "\n")
    assert 900 < len(kept) <= 1000
    assert remark == f"[{len(whole) - len(kept)} more characters are left out]"


def test_what_is_no_dump_stays() -> None:
    assert shorten("  torn\nline") == "  torn\nline"
    assert shorten("") == ""
