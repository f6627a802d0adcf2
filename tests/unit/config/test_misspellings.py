"""Names in a file that were probably meant to be settings, and those that were not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Configure


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("preload", "preload_app"),
        ("worker", "workers"),
        ("logfile", "errorlog"),
        ("log_level", "loglevel"),
        ("access_logfile", "accesslog"),
        ("keep_alive", "keepalive"),
        ("worker_type", "worker_class"),
        ("max_request", "max_requests"),
        ("gracefull_timeout", "graceful_timeout"),
        ("TIMEOUT", "timeout"),
        ("forwarded_allow_ip", "forwarded_allow_ips"),
    ],
)
def test_a_likely_name(name: str, likely: str, configure: Configure, tmp_path: Path) -> None:
    assert configure(f"\n{name} = 1\n").warnings == (
        f"{name!r} is not a setting, did you mean {likely!r}? "
        f"Set in: {tmp_path}/gunicorn.conf.py:2.",
    )


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("post_worker_int", "post_worker_init"),
        ("worker_init", "post_worker_init"),
        ("on_start", "on_starting"),
        ("when_redy", "when_ready"),
        ("prefork", "pre_fork"),
    ],
)
def test_a_likely_hook(name: str, likely: str, configure: Configure, tmp_path: Path) -> None:
    assert configure(f"\ndef {name}(worker): pass\n").warnings == (
        f"{name!r} is not a setting, did you mean {likely!r}? "
        f"Set in: {tmp_path}/gunicorn.conf.py:2.",
    )


def test_one_warning_for_each_name(configure: Configure) -> None:
    assert len(configure("preload = 1\npreload = 2\nworker = 3\n").warnings) == 2


@pytest.mark.parametrize(
    "source",
    [
        "worker = 3\nworkers = worker\n",  # read by the file itself
        "worker = 3\nworkers = 4\n",  # the setting is there as well
        "import json as worker\n",
        "from json import loads as preload\n",
        "def preload(): pass\n",
        "class Worker: pass\n",
        "def post_forks(): pass\npost_forks()\n",
        "def logfile(): pass\ndef bind_address(): pass\n",
        "_worker = 1\n",
        "debug = True\n",
        "django_settings = 'x'\n",
        "x_forwarded_for_header = 'x'\n",
        "max_worker_memory = 1\nlog_dir = '/'\nsecret = 1\n",
    ],
)
def test_the_files_own_business(source: str, configure: Configure) -> None:
    assert configure(source).warnings == ()


def test_lazy_objects_are_not_loaded(configure: Configure) -> None:
    lazy = "class Lazy:\n    @property\n    def __class__(self): raise LookupError\n"
    (warning,) = configure(lazy + "worker = Lazy()\n").warnings
    assert "'worker' is not a setting" in warning


# As in images that many deployments are built upon; written after their habits.
HELPERS = """\
import json
import multiprocessing
import os

workers_per_core_str = os.getenv("WORKERS_PER_CORE", "1")
max_workers_str = os.getenv("MAX_WORKERS")
use_max_workers = None
if max_workers_str:
    use_max_workers = int(max_workers_str)
web_concurrency_str = os.getenv("WEB_CONCURRENCY", None)
host = os.getenv("HOST", "0.0.0.0")
port = os.getenv("PORT", "80")
bind_env = os.getenv("BIND", None)
use_loglevel = os.getenv("LOG_LEVEL", "info")
use_bind = bind_env if bind_env else f"{host}:{port}"
cores = 1
workers_per_core = float(workers_per_core_str)
default_web_concurrency = workers_per_core * cores
web_concurrency = max(int(default_web_concurrency), 2)
accesslog_var = os.getenv("ACCESS_LOG", "-")
use_accesslog = accesslog_var or None
errorlog_var = os.getenv("ERROR_LOG", "-")
use_errorlog = errorlog_var or None
graceful_timeout_str = os.getenv("GRACEFUL_TIMEOUT", "120")
timeout_str = os.getenv("TIMEOUT", "120")
keepalive_str = os.getenv("KEEP_ALIVE", "5")

loglevel = use_loglevel
workers = web_concurrency
bind = use_bind
errorlog = use_errorlog
worker_tmp_dir = "/dev/shm"
accesslog = use_accesslog
graceful_timeout = int(graceful_timeout_str)
timeout = int(timeout_str)
keepalive = int(keepalive_str)

log_data = {
    "loglevel": loglevel,
    "workers": workers,
    "bind": bind,
    "graceful_timeout": graceful_timeout,
    "timeout": timeout,
    "keepalive": keepalive,
    "errorlog": errorlog,
    "accesslog": accesslog,
    "workers_per_core": workers_per_core,
    "use_max_workers": use_max_workers,
    "host": host,
    "port": port,
}
"""


def test_helper_variables(configure: Configure) -> None:
    cfg = configure(HELPERS)
    assert cfg.warnings == ()
    assert (cfg.bind, cfg.workers, cfg.keepalive) == (["0.0.0.0:80"], 2, 5)


@pytest.mark.parametrize(
    "name", ["workers_per_core", "use_bind", "accesslog_var", "web_concurrency_str", "port", "host"]
)
def test_helper_variables_that_nobody_reads(name: str, configure: Configure) -> None:
    assert configure(f"{name} = 1\n").warnings == ()
