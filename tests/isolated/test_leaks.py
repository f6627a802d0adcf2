"""Nothing grows with the number of requests; each kind in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.isolated.leaks import KINDS

if TYPE_CHECKING:
    from monoceros.http.types import Twin

COUNT = int(os.environ.get("MONOCEROS_LEAK_REQUESTS", "1500"))
SCRIPT = Path(__file__).with_name("leaks.py")


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_grows(twin: Twin, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, twin.IMPL, kind, str(COUNT)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
