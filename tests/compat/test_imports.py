"""When the facade is imported, and what goes before it: real servers."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import monoceros

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.conftest import Server

APP = """\
import sys
def app(environ, start_response):
    names = [name for name in sys.modules if name.partition(".")[0] == "gunicorn"]
    import gunicorn
    body = f"{bool(names)} {gunicorn.__file__}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

SOURCES = Path(monoceros.__file__).parents[1]
FACADE = SOURCES / "monoceros" / "compat" / "facade" / "gunicorn"
ABSENT = (".asgi", ".ctl", ".dirty", ".http2", ".reloader", ".uwsgi")


def with_real_package(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which another package of the name is installed."""
    package = tmp_path / "installed" / "gunicorn"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = 'real'\n")
    return {"PYTHONPATH": f"{package.parent}:{SOURCES}"}


@pytest.mark.process
def test_nothing_is_imported_before_somebody_asks(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    env = with_real_package(tmp_path)
    srv = server("--compat", "monoceros", "app:app", files={"app.py": APP}, env=env)
    srv.wait_workers(1)

    assert srv.get("/").body.decode() == f"False {FACADE / '__init__.py'}"
    assert srv.count("Gunicorn is installed too") == 0


@pytest.mark.process
def test_the_real_package_is_mentioned_once(server: Callable[..., Server], tmp_path: Path) -> None:
    env = with_real_package(tmp_path)
    conf = "import gunicorn.glogging\nclass logger_class(gunicorn.glogging.Logger): pass\n"
    srv = server("app:app", files={"app.py": APP, "gunicorn.conf.py": conf}, env=env)
    srv.wait_workers(1)
    srv.wait_for(r"INFO\] Gunicorn is installed too \(.*/installed/gunicorn/__init__\.py\)")

    assert srv.get("/").body.decode() == f"True {FACADE / '__init__.py'}"
    srv.signal(signal.SIGHUP)
    srv.wait_for("Reloaded")
    assert srv.count("Gunicorn is installed too") == 1


@pytest.mark.parametrize(
    "module",
    sorted(
        ".".join(path.relative_to(FACADE.parent).with_suffix("").parts)
        for path in FACADE.rglob("*.py")
        if path.name != "__main__.py"
    ),
)
def test_each_module_can_be_imported_first(module: str) -> None:
    name = module.removesuffix(".__init__")
    code = f"from monoceros.compat.finder import install\ninstall(first=True)\nimport {name}\n"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCES)},
        timeout=60,
        check=False,
    )
    if name.endswith(ABSENT):
        assert f"ModuleNotFoundError: Monoceros has no {name}: " in result.stderr
    else:
        assert (result.returncode, result.stderr) == (0, "")
