"""Dates as HTTP writes them."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from monoceros.http.dates import format_date

if TYPE_CHECKING:
    import pytest


def test_the_example_of_the_rfc() -> None:
    assert format_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


@given(st.integers(0, 253402300799))  # to the end of the year 9999
def test_any_time(seconds: int) -> None:
    assert format_date(seconds) == formatdate(seconds, usegmt=True)


def test_the_time_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert format_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    finally:
        monkeypatch.undo()
        time.tzset()
