"""The names that the server goes by."""

from __future__ import annotations

import pytest

from monoceros import __version__, identity


@pytest.mark.parametrize(
    ("compat", "software", "start"),
    [
        ("monoceros", f"monoceros/{__version__}", f"monoceros {__version__} (http c)"),
        ("gunicorn", "gunicorn/27.0.1", f"gunicorn 27.0.1 (monoceros {__version__}, http c)"),
    ],
)
def test_names(compat: str, software: str, start: str) -> None:
    assert identity.program(compat) == identity.server_field(compat) == compat
    assert identity.server_software(compat) == software
    assert identity.start_line(compat, "http c") == start


def test_start_line_with_nothing_to_add() -> None:
    assert identity.start_line("monoceros", "") == f"monoceros {__version__}"
    assert identity.start_line("gunicorn", "").endswith(f"(monoceros {__version__})")
