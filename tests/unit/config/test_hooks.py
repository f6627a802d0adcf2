"""Hooks: what may be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.config.hooks import ignore
from monoceros.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Configure


@pytest.mark.parametrize(
    "definition",
    [
        "def post_fork(server, worker): pass",
        "def post_fork(*anything): pass",
        "def post_fork(server, worker, extra=None): pass",
        "class post_fork:\n    def __init__(self, server, worker): pass",
        "from functools import partial\npost_fork = partial(lambda a, b, c: None, 1)",
        "post_fork = max",
    ],
)
def test_accepted(definition: str, configure: Configure) -> None:
    assert configure(definition + "\n").post_fork is not ignore


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("def post_fork(server): pass", r"cannot be called with 2 arguments: \(server, worker\)"),
        ("def post_fork(a, b, c): pass", "cannot be called with 2 arguments"),
        ("def post_fork(a, b, *, c): pass", "cannot be called with 2 arguments"),
        ("post_fork = 5", "not callable"),
        ("post_fork = 'post_fork'", "not a dotted name"),
        ("post_fork = 'not_there.post_fork'", "cannot be imported: No module named 'not_there'"),
        ("post_fork = 'json.not_there'", "cannot be imported: .*not_there"),
    ],
)
def test_refused(definition: str, reason: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        configure(definition + "\n")
    assert str(caught.value).endswith("gunicorn.conf.py:1.")


def test_a_dotted_name(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "hooks_of_conf.py").write_text("def ready(server):\n    return 'called'\n")
    assert configure("when_ready = 'hooks_of_conf.ready'\n").when_ready(None) == "called"


def test_the_default_does_nothing(configure: Configure) -> None:
    cfg = configure()
    assert cfg.nworkers_changed(None, 1, None) is None
    assert cfg.on_exit(None) is None
