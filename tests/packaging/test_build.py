"""What sdists and wheels contain, with and without a compiler."""

from __future__ import annotations

import sys
import sysconfig
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packaging.builds import ROOT, build_wheel, run, succeed

if TYPE_CHECKING:
    from email.message import Message

pytestmark = pytest.mark.slow

EXTENSIONS = sorted(path.stem for path in (ROOT / "ext/monoceros/http").glob("*.pyx"))


def members(archive: Path) -> set[str]:
    """Return the files of a wheel, or of an sdist without its leading folder."""
    if archive.suffix == ".whl":
        return set(zipfile.ZipFile(archive).namelist())
    with tarfile.open(archive) as tar:
        return {name.partition("/")[2] for name in tar.getnames()}


def metadata(wheel: Path) -> Message:
    """Return a wheel's METADATA."""
    (name,) = (name for name in members(wheel) if name.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(zipfile.ZipFile(wheel).read(name).decode())


def test_sdist_has_the_sources_and_nothing_generated(sdist: Path) -> None:
    files = members(sdist)

    assert {"pyproject.toml", "setup.py", "LICENSE", "README.md", "tests/conftest.py"} <= files
    assert {f"ext/monoceros/http/{name}.pyx" for name in EXTENSIONS} <= files
    assert not [name for name in files if name.endswith((".c", ".so", ".pyc"))]


def test_sdist_has_every_source_file(sources: Path, sdist: Path) -> None:
    folders = [sources / name for name in ("src/monoceros", "ext", "tests", "packaging")]
    wanted = {
        path.relative_to(sources).as_posix()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert wanted - members(sdist) == set()


def test_compiled_wheel_has_the_extensions(compiled: Path) -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"

    assert EXTENSIONS
    assert f"-{tag}-{tag}-" in compiled.name
    assert {f"monoceros/http/{name}{suffix}" for name in EXTENSIONS} <= members(compiled)


def test_wheels_are_alike_but_for_the_extensions(compiled: Path, pure: Path) -> None:
    binary = {name for name in members(compiled) if name.endswith(".so")}

    assert members(compiled) - binary == members(pure)
    assert "monoceros/py.typed" in members(pure)
    facade = "monoceros/compat/facade/gunicorn"
    assert {f"{facade}/py.typed", f"{facade}/app/base.py", f"{facade}/sock.py"} <= members(pure)
    assert not [name for name in members(compiled) if name.endswith((".c", ".h", ".pyx", ".pxd"))]
    assert all(name.startswith(("monoceros/", "monoceros-")) for name in members(pure))


def test_metadata(compiled: Path) -> None:
    fields = metadata(compiled)
    required = [value for value in fields.get_all("Requires-Dist", []) if "extra" not in value]

    assert fields["Name"] == "monoceros"
    assert fields["License-Expression"] == "MIT"
    assert fields["Requires-Python"] == ">=3.10"
    assert required == ["setproctitle", 'tomli; python_version < "3.11"', "websockets>=11"]


def test_without_a_compiler_the_wheel_is_pure(pure: Path) -> None:
    assert pure.name.endswith("-py3-none-any.whl")


def test_without_extensions_the_wheel_is_pure(sources: Path, tmp_path: Path) -> None:
    # A leftover of an editable install must not get in.
    stale = sources / f"src/monoceros/http/_stale{sysconfig.get_config_var('EXT_SUFFIX')}"
    stale.touch()
    try:
        succeed(build_wheel(Path(sys.executable), sources, tmp_path, MONOCEROS_EXT="no"))
    finally:
        stale.unlink()
    (wheel,) = tmp_path.iterdir()

    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in members(wheel) if name.endswith(".so")]


def test_required_extensions_need_a_compiler(sdist: Path, empty: Path, tmp_path: Path) -> None:
    result = build_wheel(
        Path(sys.executable), sdist, tmp_path, PATH=str(empty), MONOCEROS_EXT="require"
    )

    assert result.returncode != 0
    assert "MONOCEROS_EXT=require, but no working C compiler was found" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_choice_is_refused(sdist: Path, tmp_path: Path) -> None:
    result = build_wheel(Path(sys.executable), sdist, tmp_path, MONOCEROS_EXT="maybe")

    assert result.returncode != 0
    assert "MONOCEROS_EXT='maybe': choose one of auto, require, no" in result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="auditwheel is for Linux")
def test_compiled_wheel_needs_only_the_c_library(compiled: Path) -> None:
    pytest.importorskip("auditwheel")
    report = " ".join(succeed(run(sys.executable, "-m", "auditwheel", "show", compiled)).split())

    assert 'is consistent with the following platform tag: "manylinux_2_' in report
