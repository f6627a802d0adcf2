"""The module of types at run time: cheap to import, and complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import monoceros
from monoceros import config, typing
from monoceros.config.sections import ServerHooks
from monoceros.config.setting import Setting


def test_importing_it_loads_nothing_of_the_server() -> None:
    code = (
        "import sys\n"
        "from monoceros.typing import Arbiter, Request, Worker\n"
        "print(sorted(name for name in sys.modules if name.startswith('monoceros')))"
    )
    path = str(Path(monoceros.__file__).parents[1])
    out = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONPATH": path}, text=True)
    assert out == "['monoceros', 'monoceros._version', 'monoceros.typing']\n"


def test_all_names_are_there() -> None:
    for name in typing.__all__:
        assert getattr(typing, name) is not None
    assert typing.Config is config.Config
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        typing.Nothing  # noqa: B018  # type: ignore[attr-defined]


def test_each_hook_has_its_alias() -> None:
    hooks = [name for name, one in vars(ServerHooks).items() if isinstance(one, Setting)]
    assert hooks
    for name in hooks:
        assert name.title().replace("_", "") in typing.__all__
