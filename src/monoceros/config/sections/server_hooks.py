"""The hooks, in the order in which a server's life meets them."""

from monoceros.config.hooks import hook, hook_of_any, ignore, log_request
from monoceros.config.setting import Section, Setting


class ServerHooks(Section):
    """Functions of a configuration file that the server calls."""

    __slots__ = ()
    title = "Server Hooks"

    nworkers_changed = Setting(
        hook("server", "new_value", "old_value"),
        ignore,
        "Called in the master when the number of workers is set; the old value is None at first.",
    )
    on_starting = Setting(
        hook("server"), ignore, "Called in the master before it opens its listening sockets."
    )
    when_ready = Setting(
        hook("server"), ignore, "Called in the master when it listens, before the first fork."
    )
    pre_fork = Setting(
        hook("server", "worker"), ignore, "Called in the master before each fork of a worker."
    )
    post_fork = Setting(hook("server", "worker"), ignore, "Called in the worker after its fork.")
    post_worker_init = Setting(
        hook("worker"), ignore, "Called in the worker when it has imported the application."
    )
    pre_request = Setting(
        hook("worker", "req"),
        log_request,
        "Called in the worker before the application; the default logs method and path at the "
        "level debug.",
    )
    post_request = Setting(
        hook_of_any("worker", "req", "environ", "resp", least=2),
        ignore,
        "Called in the worker when a request is done; it may also take the first two or three "
        "arguments only.",
    )
    worker_int = Setting(hook("worker"), ignore, "Called in the worker on SIGINT and SIGQUIT.")
    worker_abort = Setting(
        hook("worker"), ignore, "Called in the worker on SIGABRT, which ends a silent worker."
    )
    worker_exit = Setting(hook("server", "worker"), ignore, "Called in the worker when it leaves.")
    child_exit = Setting(
        hook("server", "worker"), ignore, "Called in the master when a worker has gone."
    )
    on_reload = Setting(
        hook("server"), ignore, "Called in the master on a reload, before the new workers."
    )
    pre_exec = Setting(
        hook("server"), ignore, "Called in a new master before it replaces the program."
    )
    on_exit = Setting(hook("server"), ignore, "Called in the master last of all.")
