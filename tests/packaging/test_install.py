"""Wheels in empty environments: they install without a compiler, choose their twin, and serve."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.packaging.builds import (
    SECONDS,
    Environment,
    compile_wheel,
    find_interpreter,
    make_environment,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

VERSIONS = sorted({"3.10", "{}.{}".format(*sys.version_info), "3.13"})  # oldest, own, newest
SHOW = "import monoceros.http as http; print(http.IMPL, http.IMPL_REASON)"


def serve_once(environment: Environment) -> str:
    """Start the installed command with the demo application, return its page, and end it."""
    program = str(environment.root / "bin/monoceros")
    command = [program, "--bind", "127.0.0.1:0", "monoceros.demo:app"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={"PATH": str(environment.empty)}
    ) as server:
        try:
            assert server.stderr
            lines = iter(server.stderr.readline, "")
            found = (re.search(r"Listening at: (http://\S+)", line) for line in lines)
            address = next(filter(None, found)).group(1)
            with urllib.request.urlopen(address, timeout=SECONDS) as response:
                page: str = response.read().decode()
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=SECONDS)
    assert server.returncode == 0
    return page


@pytest.mark.parametrize("version", VERSIONS)
def test_compiled_wheel_installs_without_a_compiler(
    version: str, sdist: Path, empty: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"no CPython {version} here")
    environment = make_environment(python, tmp_path / "venv", empty)
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        wheel: Path = request.getfixturevalue("compiled")
    else:
        wheel = compile_wheel(environment.python, sdist, tmp_path / "wheel")
    environment.install(wheel)

    assert environment.run("-c", SHOW).split()[0] == "c"
    assert "monoceros" in serve_once(environment).lower()


def test_pure_wheel_installs_and_serves(pure: Path, empty: Path, tmp_path: Path) -> None:
    environment = make_environment(find_interpreter_here(), tmp_path / "venv", empty)
    environment.install(pure)

    impl, reason = environment.run("-c", SHOW).split(maxsplit=1)

    assert impl == "py"
    assert reason.strip()
    assert "monoceros" in serve_once(environment).lower()


def find_interpreter_here() -> Path:
    """Return this interpreter, as a path."""
    found = find_interpreter(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert found
    return found
