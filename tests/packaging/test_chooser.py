"""Which twin is chosen at import: the compiled one, the pure one, or an error that says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import monoceros
from tests.packaging.builds import ROOT

EXTENSIONS = sorted(path.stem for path in (ROOT / "ext/monoceros/http").glob("*.pyx"))
SHOW = "import monoceros.http as http; print(http.IMPL, http.IMPL_REASON, sep='|')"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder to import from, with a copy of the package that has no extensions."""
    package = Path(monoceros.__file__).parent
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(package, tmp_path / "monoceros", ignore=ignored)
    return tmp_path


def choose(site: Path, impl: str | None = None) -> subprocess.CompletedProcess[str]:
    """Import the package from ``site`` in a new process, and show what it chose."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MONOCEROS_")}
    env["PYTHONPATH"] = str(site)
    if impl is not None:
        env["MONOCEROS_IMPL"] = impl
    return subprocess.run(
        [sys.executable, "-c", SHOW], env=env, capture_output=True, text=True, check=False
    )


def break_extensions(site: Path, *names: str) -> None:
    """Put files in the place of the extensions that no loader accepts."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for name in names or EXTENSIONS:
        (site / f"monoceros/http/{name}{suffix}").write_bytes(b"not a shared object")


@pytest.mark.parametrize("impl", [None, "py"])
def test_without_an_extension_the_pure_twin_runs(site: Path, impl: str | None) -> None:
    result = choose(site, impl)

    assert result.returncode == 0, result.stderr
    name, _, reason = result.stdout.strip().partition("|")
    assert name == "py"
    assert reason


def test_the_reason_tells_a_choice_from_an_absence(site: Path) -> None:
    assert choose(site).stdout != choose(site, "py").stdout
    assert "MONOCEROS_IMPL" in choose(site, "py").stdout


def test_asking_for_an_absent_extension_is_an_error(site: Path) -> None:
    result = choose(site, "c")

    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert "MONOCEROS_IMPL" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("impl", [None, "c"])
def test_a_broken_extension_is_an_error(site: Path, impl: str | None) -> None:
    break_extensions(site)

    result = choose(site, impl)

    assert result.returncode != 0
    assert "ImportError" in result.stderr
    complaint = result.stderr.splitlines()[-1]
    assert "is broken" in complaint
    assert any(f"monoceros/http/{name}." in complaint for name in EXTENSIONS)


@pytest.mark.parametrize("name", EXTENSIONS)
def test_a_part_of_the_extensions_is_not_taken_for_none(site: Path, name: str) -> None:
    break_extensions(site, name)

    result = choose(site)

    assert result.returncode != 0
    assert "is broken" in result.stderr.splitlines()[-1]


def test_the_pure_twin_runs_beside_a_broken_extension(site: Path) -> None:
    break_extensions(site)

    assert choose(site, "py").stdout.startswith("py|")


def test_an_unknown_choice_is_an_error(site: Path) -> None:
    result = choose(site, "rust")

    assert result.returncode != 0
    assert "rust" in result.stderr.splitlines()[-1]
