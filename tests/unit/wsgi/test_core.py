"""What settings become for the HTTP side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.config import load
from monoceros.wsgi.core import make_policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("args", "kept"),
    [
        ("", True),
        ("--compat gunicorn", False),
        ("--compat gunicorn --keep-alive 2", True),
        ("--compat gunicorn --threads 2", True),
        ("--compat gunicorn -k gthread", True),
        ("--compat gunicorn -k gthread --keep-alive 0", False),
    ],
)
def test_which_workers_keep_connections(args: str, kept: bool, tmp_path: Path) -> None:
    cfg = load([*args.split(), "app:app"], {}, str(tmp_path), "monoceros")
    assert make_policy(cfg).keepalive is kept


def test_limits_of_waiting_clients(tmp_path: Path) -> None:
    args = ["--body-timeout", "0", "--body-min-rate", "7", "--write-timeout", "5", "app:app"]
    policy = make_policy(load(args, {}, str(tmp_path), "monoceros"))
    assert policy.body_timeout > 1e6  # no limit
    assert (policy.body_min_rate, policy.write_timeout) == (7.0, 5.0)
