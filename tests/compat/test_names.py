"""The names of the facade, compared with those that type stubs of Gunicorn list."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monoceros import errors, identity
from monoceros.arbiter.loop import Arbiter
from monoceros.compat import finder
from monoceros.log.logger import Logger
from monoceros.log.statsd import Statsd
from monoceros.workers.base import Worker
from monoceros.workers.gthread import ThreadWorker
from monoceros.workers.sync import SyncWorker

if TYPE_CHECKING:
    from collections.abc import Iterator

# Modules that are not there, and why.
MODULES_LEFT_OUT = {
    "gunicorn._types": "of the stubs alone",
    "gunicorn.asgi": "requests are read and answered in another way",
    "gunicorn.ctl": "there is no control socket",
    "gunicorn.dirty": "the dirty arbiter is not in this version",
    "gunicorn.http.body": "bodies are read by the reactor",
    "gunicorn.http.parser": "heads are parsed by the reactor",
    "gunicorn.http.unreader": "sockets are read by the reactor",
    "gunicorn.http2": "HTTP/2 is not in this version",
    "gunicorn.reloader": "a process of its own watches files",
    "gunicorn.uwsgi": "the uwsgi protocol is not in this version",
    "gunicorn.workers.base_async": "the workers for gevent and eventlet have another base",
}

_PARSER = "requests are parsed by the reactor, which answers bad ones itself"
_LOOP = "the arbiter's loop handles signals and children in another way"
_WORKER = "connections are the reactor's"
_SIGNALS = "signals are handled as in all classes: handle_exit and its like"
_DIRTY = "the dirty arbiter is not in this version"
_VALUES = "settings have checks of their own; this one is about a single setting"

# Names of modules that are there, and attributes of classes, which are not, and why.
NAMES_LEFT_OUT = {
    "gunicorn.arbiter.Arbiter.SIGNALS": _LOOP,
    "gunicorn.arbiter.Arbiter.SIG_NAMES": _LOOP,
    "gunicorn.arbiter.Arbiter.START_CTX": "how the program was started is known to the upgrade",
    "gunicorn.arbiter.Arbiter.WAKEUP_REQUEST": _LOOP,
    "gunicorn.arbiter.Arbiter.WORKERS": "of the instance",
    "gunicorn.arbiter.Arbiter.handle_chld": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_dirty_arbiter_exit": _DIRTY,
    "gunicorn.arbiter.Arbiter.handle_hup": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_int": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_quit": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_term": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_ttin": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_ttou": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_usr1": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_usr2": _LOOP,
    "gunicorn.arbiter.Arbiter.handle_winch": _LOOP,
    "gunicorn.arbiter.Arbiter.init_signals": _LOOP,
    "gunicorn.arbiter.Arbiter.kill_dirty_arbiter": _DIRTY,
    "gunicorn.arbiter.Arbiter.manage_dirty_arbiter": _DIRTY,
    "gunicorn.arbiter.Arbiter.maybe_promote_master": _LOOP,
    "gunicorn.arbiter.Arbiter.murder_workers": _LOOP,
    "gunicorn.arbiter.Arbiter.reap_dirty_arbiter": _DIRTY,
    "gunicorn.arbiter.Arbiter.reap_workers": _LOOP,
    "gunicorn.arbiter.Arbiter.reexec": "send SIGUSR2",
    "gunicorn.arbiter.Arbiter.reload": "send SIGHUP",
    "gunicorn.arbiter.Arbiter.setup": "a generation is made of a configuration",
    "gunicorn.arbiter.Arbiter.signal": _LOOP,
    "gunicorn.arbiter.Arbiter.signal_chld": _LOOP,
    "gunicorn.arbiter.Arbiter.spawn_dirty_arbiter": _DIRTY,
    "gunicorn.arbiter.Arbiter.wait_for_signals": _LOOP,
    "gunicorn.config.ALPN_PROTOCOL_MAP": "HTTP/2 is not in this version",
    "gunicorn.config.PLATFORM": "sys.platform",
    "gunicorn.config.Setting.action": "of Gunicorn's parser",
    "gunicorn.config.Setting.add_option": "the parser has all options",
    "gunicorn.config.Setting.const": "of Gunicorn's parser",
    "gunicorn.config.Setting.nargs": "of Gunicorn's parser",
    "gunicorn.config.Setting.type": "of Gunicorn's parser",
    "gunicorn.config.SettingMeta": "settings of one's own cannot be added",
    "gunicorn.config.VALID_HTTP_PROTOCOLS": "HTTP/2 is not in this version",
    "gunicorn.config.auto_int": "of Gunicorn's parser",
    "gunicorn.config.validate_asgi_lifespan": _VALUES,
    "gunicorn.config.validate_asgi_loop": _VALUES,
    "gunicorn.config.validate_header_map_behaviour": _VALUES,
    "gunicorn.config.validate_http2_cleartext": _VALUES,
    "gunicorn.config.validate_http2_frame_size": _VALUES,
    "gunicorn.config.validate_http_parser": _VALUES,
    "gunicorn.config.validate_http_protocols": _VALUES,
    "gunicorn.config.validate_list_of_files_or_patterns": _VALUES,
    "gunicorn.config.validate_proxy_protocol": _VALUES,
    "gunicorn.config.validate_reload_engine": _VALUES,
    "gunicorn.config.validate_ssl_version": _VALUES,
    "gunicorn.config.validate_statsd_address": _VALUES,
    "gunicorn.config.validate_string_to_addr_list": _VALUES,
    "gunicorn.debug.Spew": "a function does it",
    "gunicorn.glogging.loggers": "of the logging module",
    "gunicorn.glogging.parse_syslog_address": "syslog's addresses are found at each connection",
    "gunicorn.http.get_parser": _PARSER,
    "gunicorn.http.wsgi.BLKSIZE": _WORKER,
    "gunicorn.http.wsgi.HEADER_VALUE_RE": _WORKER,
    "gunicorn.http.wsgi.WSGIErrorsWrapper": "wsgi.errors is monoceros.log.errorstream",
    "gunicorn.http.wsgi.base_environ": _PARSER,
    "gunicorn.http.wsgi.create": _PARSER,
    "gunicorn.http.wsgi.default_environ": _PARSER,
    "gunicorn.http.wsgi.log": "the server has one error log",
    "gunicorn.http.wsgi.proxy_environ": _PARSER,
    "gunicorn.sock.PLATFORM": "sys.platform",
    "gunicorn.sock.get_negotiated_protocol": "TLS is not in this version",
    "gunicorn.sock.is_http2_negotiated": "TLS is not in this version",
    "gunicorn.sock.ssl_context": "TLS is not in this version",
    "gunicorn.sock.ssl_wrap_socket": "TLS is not in this version",
    "gunicorn.util.GLOB_MAGIC_RE": "of one function there",
    "gunicorn.util.REDIRECT_TO": "of one function there",
    "gunicorn.util.close_graceful": _WORKER,
    "gunicorn.util.daemonize": "the setting daemon",
    "gunicorn.util.make_fail_app": "a broken application is shown by monoceros.wsgi.broken",
    "gunicorn.util.positionals": "of one function there",
    "gunicorn.workers.base.Worker.handle_error": _PARSER,
    "gunicorn.workers.gasgi.ASGIWorker.handle_abort_signal": _SIGNALS,
    "gunicorn.workers.gasgi.ASGIWorker.handle_exit_signal": _SIGNALS,
    "gunicorn.workers.gasgi.ASGIWorker.handle_quit_signal": _SIGNALS,
    "gunicorn.workers.gasgi.ASGIWorker.handle_usr1_signal": _SIGNALS,
    "gunicorn.workers.gasgi.ASGIWorker.handle_winch_signal": _SIGNALS,
    "gunicorn.workers.ggevent.GeventResponse": "of Gunicorn's access log",
    "gunicorn.workers.ggevent.PyWSGIHandler": "gevent's server is not used",
    "gunicorn.workers.ggevent.PyWSGIServer": "gevent's server is not used",
    "gunicorn.workers.ggevent.VERSION": "gevent's server is not used",
    "gunicorn.workers.gthread.DEFAULT_WORKER_DATA_TIMEOUT": "the setting header_timeout",
    "gunicorn.workers.gthread.PollableMethodQueue": _WORKER,
    "gunicorn.workers.gthread.TConn": _WORKER,
    "gunicorn.workers.gtornado.IOLoop": "of tornado",
    "gunicorn.workers.gtornado.PeriodicCallback": "of tornado",
    "gunicorn.workers.sync.StopWaiting": _WORKER,
    "gunicorn.workers.workertmp.IS_CYGWIN": "sys.platform",
    "gunicorn.workers.workertmp.PLATFORM": "sys.platform",
}

# Parts of these are compared as a whole: their methods are all about Gunicorn's own loop or parser.
CLASSES_BY_NAME_ONLY = {
    "gunicorn.sock.BaseSocket",
    "gunicorn.sock.TCP6Socket",
    "gunicorn.sock.TCPSocket",
    "gunicorn.sock.UnixSocket",
    "gunicorn.http.message.Message",
    "gunicorn.http.message.Request",
    "gunicorn.http.wsgi.Response",
    "gunicorn.workers.gthread.ThreadWorker",
    "gunicorn.workers.sync.SyncWorker",
}
MODULES_OF_CONSTANTS = {"gunicorn.http.errors", "gunicorn.http.message"}  # of the parser

# Come with the workers themselves.
ELSEWHERE = ("gunicorn.workers.ggevent.", "gunicorn.workers.gtornado.")


@pytest.fixture(scope="module")
def stubs() -> Path:
    """The folder of the stubs."""
    spec = find_spec("gunicorn-stubs")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("types-gunicorn is not installed")
    return Path(spec.submodule_search_locations[0])


def modules(stubs: Path) -> Iterator[tuple[str, ast.Module]]:
    """Yield name and content of each stub of a module that is compared."""
    for path in sorted(stubs.rglob("*.pyi")):
        parts = ["gunicorn", *path.relative_to(stubs).with_suffix("").parts]
        name = ".".join(part for part in parts if part != "__init__")
        if not any(f"{name}.".startswith(f"{one}.") for one in MODULES_LEFT_OUT):
            yield name, ast.parse(path.read_text())


def declared(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Yield the public names that a body declares."""
    for node in body:
        if isinstance(node, ast.If):
            yield from declared([*node.body, *node.orelse])
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((one.id, node) for one in targets if isinstance(one, ast.Name))


def missing(stubs: Path) -> Iterator[str]:
    """Yield the dotted names that the facade does not have."""
    for name, tree in modules(stubs):
        if name in MODULES_OF_CONSTANTS:
            continue
        module = importlib.import_module(name)
        for public, node in declared(tree.body):
            dotted = f"{name}.{public}"
            if (public.startswith("_") and public != "__version__") or is_typing_only(node):
                continue
            if dotted.startswith(ELSEWHERE):
                continue
            found = getattr(module, public, None)
            if found is None and not hasattr(module, public):
                yield dotted
            elif isinstance(node, ast.ClassDef) and not is_named_only(dotted, node):
                yield from missing_in_class(dotted, node, found)


def missing_in_class(dotted: str, node: ast.ClassDef, found: object) -> Iterator[str]:
    """Yield the methods and class variables that a class does not have."""
    for name, member in declared(node.body):
        is_method = isinstance(member, ast.FunctionDef)
        is_class_variable = isinstance(member, ast.AnnAssign) and "ClassVar" in ast.dump(member)
        if name.startswith("_") or not (is_method or is_class_variable):
            continue
        if not hasattr(found, name) and name not in getattr(found, "__annotations__", {}):
            yield f"{dotted}.{name}"


def is_named_only(dotted: str, node: ast.ClassDef) -> bool:
    """Whether the parts of a class are not compared; those of settings are those of one class."""
    is_setting = any(isinstance(base, ast.Name) and base.id == "Setting" for base in node.bases)
    return is_setting or dotted in CLASSES_BY_NAME_ONLY


def is_typing_only(node: ast.stmt) -> bool:
    """Whether a name is there for type checkers alone."""
    text = ast.dump(node)
    return "type_check_only" in text or "TypeAlias" in text


def test_names_are_those_of_the_stubs(stubs: Path) -> None:
    left_out = {name for name in NAMES_LEFT_OUT if not name.startswith(ELSEWHERE)}
    lacking = set(missing(stubs))

    assert lacking - left_out == set()
    assert left_out - lacking == set()


def test_modules_that_are_left_out() -> None:
    for name in MODULES_LEFT_OUT:
        with pytest.raises(ImportError):
            importlib.import_module(name)
    with pytest.raises(ModuleNotFoundError, match="the dirty arbiter is not in this version"):
        importlib.import_module("gunicorn.dirty")


def test_a_name_that_is_not_there() -> None:
    module = importlib.import_module("gunicorn.http.wsgi")

    assert not hasattr(module, "create")
    with pytest.raises(AttributeError, match=r"Monoceros's module .gunicorn\.http\.wsgi."):
        _ = module.create


@pytest.mark.parametrize(
    ("module", "name", "ours"),
    [
        ("gunicorn.arbiter", "Arbiter", Arbiter),
        ("gunicorn.errors", "AppImportError", errors.AppImportError),
        ("gunicorn.errors", "ConfigError", errors.ConfigError),
        ("gunicorn.errors", "HaltServer", errors.HaltServer),
        ("gunicorn.glogging", "Logger", Logger),
        ("gunicorn.instrument.statsd", "Statsd", Statsd),
        ("gunicorn.workers.base", "Worker", Worker),
        ("gunicorn.workers.gthread", "ThreadWorker", ThreadWorker),
        ("gunicorn.workers.sync", "SyncWorker", SyncWorker),
    ],
)
def test_classes_are_ours(module: str, name: str, ours: type) -> None:
    assert getattr(importlib.import_module(module), name) is ours


def test_version() -> None:
    package = importlib.import_module("gunicorn")

    assert package.__version__ == identity.GUNICORN_VERSION
    assert package.version_info == (27, 0, 1)
    assert isinstance(finder.find_installed(), finder.Finder)
