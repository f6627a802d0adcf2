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


@pytest.mark.parametrize(
    ("parameters", "got"),
    [
        ("a, b", (1, 2)),
        ("a, b, c", (1, 2, 3)),
        ("a, b, c, d", (1, 2, 3, 4)),
        ("*a", ((1, 2, 3, 4),)),
        ("a, b, c=None", (1, 2, 3)),
    ],
)
def test_post_request_takes_what_it_wants(
    parameters: str, got: tuple[object, ...], configure: Configure
) -> None:
    names = parameters.replace("*", "").replace("=None", "")
    cfg = configure(f"def post_request({parameters}): return ({names},)\n")
    assert cfg.post_request(1, 2, 3, 4) == got


@pytest.mark.parametrize("parameters", ["", "a", "a, b, c, d, e"])
def test_post_request_takes_two_to_four_arguments(parameters: str, configure: Configure) -> None:
    with pytest.raises(ConfigError, match=r"cannot be called with 2 arguments: \(worker, req\)"):
        configure(f"def post_request({parameters}): pass\n")


def test_a_hook_that_takes_fewer_arguments_keeps_its_name(configure: Configure) -> None:
    assert configure("def post_request(a, b): pass\n").post_request.__name__ == "post_request"


def test_pre_request_logs_by_default(configure: Configure) -> None:
    lines: list[str] = []

    class Anything:
        method, path = "GET", "/x"

        def debug(self, text: str, *args: object) -> None:
            lines.append(text % args)

        @property
        def log(self) -> Anything:
            return self

    configure().pre_request(Anything(), Anything())
    assert lines == ["GET /x"]


def test_the_default_does_nothing(configure: Configure) -> None:
    cfg = configure()
    assert cfg.nworkers_changed(None, 1, None) is None
    assert cfg.on_exit(None) is None


def test_an_async_hook_would_do_nothing(configure: Configure) -> None:
    with pytest.raises(ConfigError, match="an async function, whose result nobody would await"):
        configure("async def post_fork(server, worker): pass\n")
