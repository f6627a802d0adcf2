"""What is imported, and when: start-up time and the memory of every worker depend on it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Modules that nothing on the way to a serving worker needs, and that take their time.
SUPERFLUOUS = {
    "asyncio",
    "concurrent.futures",
    "ctypes",
    "decimal",
    "http",
    "multiprocessing",
    "ssl",
    "subprocess",
    "unittest",
    "uuid",
    "xml",
    "monoceros.arbiter.daemon",
    "monoceros.config.documentation",
    "monoceros.config.usage",
    "monoceros.demo",
    "monoceros.workers.spew",
}

SERVER = """\
import monoceros.cli, monoceros.arbiter.loop, monoceros.log.logger
from monoceros.workers.sync import SyncWorker
SyncWorker.setup()
"""


def imported_by(code: str) -> set[str]:
    """Return the names of the modules that a fresh interpreter adds to its own."""
    script = f"""
import json, sys
before = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - before - {{"json"}})))
"""
    command = [sys.executable, "-c", script]
    process = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(process.stdout))


def test_import_of_the_package() -> None:
    assert imported_by("import monoceros") <= {"monoceros", "monoceros._version", "__future__"}


def test_import_of_the_server() -> None:
    modules = imported_by(SERVER)

    assert "monoceros.workers.reactor" in modules
    assert modules & SUPERFLUOUS == set()


@pytest.mark.parametrize("module", ["identity", "errors", "scoreboard"])
def test_leaves_stay_leaves(module: str) -> None:
    ours = {name for name in imported_by(f"import monoceros.{module}") if "monoceros" in name}

    assert ours <= {"monoceros", "monoceros._version", f"monoceros.{module}"}
