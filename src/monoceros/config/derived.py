"""What follows from several settings together, or from where the server is started."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from monoceros.config import machine
from monoceros.config.config import Config, Remarks
from monoceros.config.kinds import AUTO
from monoceros.config.setting import DEFAULT, Setting, invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monoceros.errors import ConfigError

# Names that mean no more than the default, even where they are given.
_PLAIN_LOGGERS = ("simple", Config.logger_class.default)

_SYNC = "monoceros.workers.sync.SyncWorker"
_ASGI = "monoceros.workers.gasgi.ASGIWorker"

_MEMORY_LIMITS: tuple[Setting[int], ...] = (Config.max_memory, Config.max_memory_hard)

_PROXIES_PATIENCE_S = 60  # nginx's and AWS's load balancers' default

_KUBERNETES = "KUBERNETES_SERVICE_HOST"  # every container has it


class Given(NamedTuple):
    """A value as it was written, and where."""

    value: object
    origin: str


class Draft:
    """A configuration that is being completed; ``hosted`` ones have their application already."""

    __slots__ = (
        "app_uri",
        "cwd",
        "environ",
        "given",
        "hosted",
        "is_class_open",
        "notes",
        "origins",
        "plan",
        "values",
        "warnings",
    )

    def __init__(
        self,
        values: dict[str, object],
        given: Mapping[str, Given],
        environ: Mapping[str, str],
        cwd: str,
        app_uri: str | None,
        hosted: bool,
    ) -> None:
        self.values = values
        self.given = given
        self.environ = environ
        self.cwd = cwd
        self.app_uri = app_uri
        self.hosted = hosted
        self.origins = {name: one.origin for name, one in given.items()}
        self.is_class_open = "worker_class" not in given
        self.plan: machine.WorkerPlan | None = None
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def remarks(self) -> Remarks:
        """Return the remarks that came up."""
        return Remarks(tuple(self.notes), tuple(self.warnings))

    def follow(self, name: str, value: object, cause: Setting[object]) -> None:
        """Set what follows from another setting."""
        self.values[name] = value
        self.origins[name] = f"follows from {cause.name}"

    def refuse(self, setting: Setting[object], reason: str) -> ConfigError:
        """Build the error for a value that is wrong beside the others."""
        one = self.given.get(setting.name)
        written = one.value if one else self.values[setting.name]
        return invalid(setting, written, one.origin if one else DEFAULT, reason)


def complete(draft: Draft) -> None:
    """Fill in what is left open; raises ConfigError."""
    _set_directories(draft)
    _find_application(draft)
    _count_workers(draft)
    _choose_worker_class(draft)
    _judge_worker_class(draft)
    _name_processes(draft)
    _set_logs(draft)
    _judge_memory(draft)
    _judge_keepalive(draft)
    _look_around(draft)
    _look_at_odd_ones(draft)


def _set_directories(draft: Draft) -> None:
    values = draft.values
    values["chdir"] = _directory(draft, Config.chdir, draft.cwd)
    if values["tmp_upload_dir"] is not None:
        values["tmp_upload_dir"] = _directory(draft, Config.tmp_upload_dir, str(values["chdir"]))


def _directory(draft: Draft, setting: Setting[object], base: str) -> str:
    path = Path(base, str(draft.values[setting.name]))
    if not path.is_dir():
        raise draft.refuse(setting, "no such directory")
    return str(path)


def _find_application(draft: Draft) -> None:
    values = draft.values
    draft.app_uri = draft.app_uri or _text(values["wsgi_app"])
    paste = _text(values["paste"])
    if paste:
        # Imported late: hardly anybody needs it.
        from monoceros.config.pastefile import adopt

        draft.app_uri = adopt(paste, values, draft.given, draft.cwd)
    if draft.app_uri or draft.hosted:
        return
    from monoceros.config.discovery import find_app

    found = find_app(Path(str(values["chdir"])))
    draft.app_uri = found.uri
    if found.uri:
        draft.notes.append(found.reason)


def _count_workers(draft: Draft) -> None:
    workers = draft.values["workers"]
    if workers == AUTO:
        draft.plan = machine.plan_workers()
        draft.values["workers"] = draft.plan.workers
        return
    if "workers" not in draft.given:
        draft.notes.append(machine.room_line(machine.plan_workers()))
        return
    warning = machine.warn_oversized(int(str(workers)), machine.plan_workers())
    if warning:
        draft.warnings.append(warning)


def _choose_worker_class(draft: Draft) -> None:
    """Have more than one thread mean gthread where the class is given by a name of a sync one."""
    name, threads = draft.values["worker_class"], draft.values["threads"]
    if not isinstance(name, str) or threads == 1:
        return
    is_ours = Config.worker_class.aliases.get(name, name) == _SYNC
    if is_ours or name.endswith("SyncWorker"):
        draft.follow("worker_class", "gthread", Config.threads)
        if not is_ours:
            draft.notes.append(f"With threads = {threads} the worker class is gthread, not {name}")


def _judge_worker_class(draft: Draft) -> None:
    name = draft.values["worker_class"]
    meant = Config.worker_class.stand_in(name) if isinstance(name, str) else None
    if meant:
        draft.notes.append(
            f"{name} is not installed; its place is taken by the worker class {meant}, which "
            "serves ASGI applications itself"
        )
    if draft.values["asgi_loop"] != "uvloop" or find_spec("uvloop") is not None:
        return
    # Other classes do not look at it.
    if draft.is_class_open or Config.worker_class.aliases.get(meant or str(name)) == _ASGI:
        raise draft.refuse(
            Config.asgi_loop, "it is not installed: pip install 'monoceros[uvloop]', or uvloop"
        )


def _name_processes(draft: Draft) -> None:
    values = draft.values
    if values["default_proc_name"] is None:
        values["default_proc_name"] = draft.app_uri or values["compat"]
    if values["proc_name"] is None:
        values["proc_name"] = values["default_proc_name"]


def _set_logs(draft: Draft) -> None:
    values, given = draft.values, draft.given
    if values["log_format"] == "json" and "access_log_format" not in given:
        draft.follow("access_log_format", "json", Config.log_format)
    if values["statsd_host"] is not None and values["logger_class"] in _PLAIN_LOGGERS:
        draft.follow("logger_class", "gunicorn.instrument.statsd.Statsd", Config.statsd_host)


def _judge_memory(draft: Draft) -> None:
    limits = {setting: int(str(draft.values[setting.name])) for setting in _MEMORY_LIMITS}
    for setting, limit in limits.items():
        if 0 < limit < machine.MIB:
            raise draft.refuse(setting, "every worker takes more; 300M are 300 mebibytes")
    soft, hard = limits.values()
    if 0 < hard <= soft:
        draft.warnings.append(
            "max_memory_hard is not more than max_memory: workers are killed before they could be "
            "replaced"
        )


def _judge_keepalive(draft: Draft) -> None:
    keepalive = int(str(draft.values["keepalive"]))
    elsewhere = set(_as_list(draft.values["forwarded_allow_ips"])) - {"127.0.0.1", "::1"}
    if elsewhere and "keepalive" in draft.given and 0 < keepalive < _PROXIES_PATIENCE_S:
        draft.notes.append(
            f"keepalive = {keepalive} closes connections that a proxy in forwarded_allow_ips may "
            "be about to use again, which its client sees as a 502: most keep theirs for "
            f"{_PROXIES_PATIENCE_S} seconds. Leave keepalive unset, and connections of these "
            "proxies are closed by the proxies alone"
        )


def _look_around(draft: Draft) -> None:
    if _KUBERNETES in draft.environ and "shutdown_delay" not in draft.given:
        draft.notes.append(
            "Kubernetes goes on sending requests to a pod for some seconds after it has asked it "
            "to stop. Unless a preStop hook waits for that, set shutdown_delay = 5; "
            "terminationGracePeriodSeconds has to be more than that and graceful_timeout "
            f"({draft.values['graceful_timeout']}) together"
        )


def _look_at_odd_ones(draft: Draft) -> None:
    values = draft.values
    if values["worker_tmp_dir"] is not None:
        draft.notes.append(
            "worker_tmp_dir is not needed: the workers' signs of life are in shared memory"
        )
    for setting in (Config.control_socket, Config.control_socket_mode):
        given = values[setting.name] != setting.default
        if given and not values["control_socket_disable"]:
            raise draft.refuse(setting, f"{setting.missing} is not in this version")
    for entry in _as_list(values["reload_extra_files"]):
        if not any(char in entry for char in "*?[") and not Path(draft.cwd, entry).is_file():
            raise draft.refuse(Config.reload_extra_files, f"{entry!r} does not exist")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _as_list(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
