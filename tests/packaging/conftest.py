"""Builds of the project, made once for the session from a clean copy of its sources."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.packaging.builds import (
    LEFT_OUT,
    ROOT,
    build_wheel,
    compile_wheel,
    make_environment,
    run,
    succeed,
)
from tests.packaging.tutorials import TUTORIALS


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without a compiler in it, to be the PATH."""
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project without anything that was built in it."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("needs the project's sources")
    folder = tmp_path_factory.mktemp("sources") / "monoceros"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT, symlinks=True)
    return folder


@pytest.fixture(scope="session")
def sdist(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("sdist")
    succeed(run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, sources))
    (archive,) = folder.iterdir()
    return archive


@pytest.fixture(scope="session")
def compiled(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel with extensions for this interpreter, built from the source distribution."""
    return compile_wheel(Path(sys.executable), sdist, tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="session")
def pure(sdist: Path, empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that a machine without a compiler builds from the source distribution."""
    folder = tmp_path_factory.mktemp("pure")
    succeed(build_wheel(Path(sys.executable), sdist, folder, PATH=str(empty)))
    (wheel,) = folder.iterdir()
    return wheel


@pytest.fixture(scope="session")
def small(sources: Path, uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of monoceros-gunicorn."""
    folder = tmp_path_factory.mktemp("small")
    words = ("--quiet", "--wheel", "--python", sys.executable, "--out-dir", folder)
    succeed(run(uv, "build", *words, sources / "packaging/gunicorn"))
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheelhouse(pure: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both wheels, Gunicorn's, and whatever they and the tutorials need."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    needs = {name for one in TUTORIALS for name in one.needs}
    download = ("download", "--quiet", "--only-binary", ":all:", "--dest", folder)
    succeed(run(sys.executable, "-m", "pip", *download, pure, "gunicorn", *sorted(needs)))
    shutil.copy(small, folder)
    return folder


@pytest.fixture(scope="session")
def uv(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Path:
    """The program uv, in an environment of its own."""
    environment = make_environment(Path(sys.executable), tmp_path_factory.mktemp("uv"), empty)
    environment.run("-m", "pip", "install", "--quiet", "--only-binary", ":all:", "uv")
    return environment.root / "bin/uv"
