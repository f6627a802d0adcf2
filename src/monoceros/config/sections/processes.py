"""How many workers there are, of which class, and how long they live."""

from monoceros.config.kinds import OCTETS, SWITCH, choice, count_or_auto, or_auto, whole
from monoceros.config.references import ClassSetting
from monoceros.config.setting import Env, Section, Setting

_WORKERS = {
    name: class_name
    for class_name, names in {
        "monoceros.workers.sync.SyncWorker": (
            "sync",
            "gunicorn.workers.sync.SyncWorker",
            "egg:gunicorn#sync",
        ),
        "monoceros.workers.gthread.ThreadWorker": (
            "gthread",
            "gunicorn.workers.gthread.ThreadWorker",
            "egg:gunicorn#gthread",
        ),
        "monoceros.workers.ggevent.GeventWorker": (
            "gevent",
            "gunicorn.workers.ggevent.GeventWorker",
            "egg:gunicorn#gevent",
        ),
        "monoceros.workers.ggevent.GeventPyWSGIWorker": (
            "gevent_wsgi",
            "gevent_pywsgi",
            "gunicorn.workers.ggevent.GeventPyWSGIWorker",
            "gunicorn.workers.ggevent.PyWSGIWorker",
            "egg:gunicorn#gevent_wsgi",
            "egg:gunicorn#gevent_pywsgi",
        ),
        "monoceros.workers.geventlet.EventletWorker": (
            "eventlet",
            "gunicorn.workers.geventlet.EventletWorker",
            "egg:gunicorn#eventlet",
        ),
        "monoceros.workers.gtornado.TornadoWorker": (
            "tornado",
            "gunicorn.workers.gtornado.TornadoWorker",
            "egg:gunicorn#tornado",
        ),
        "monoceros.workers.gasgi.ASGIWorker": (
            "asgi",
            "gunicorn.workers.gasgi.ASGIWorker",
            "egg:gunicorn#asgi",
        ),
    }.items()
    for name in names
}
# Names of classes that this one stands in for where their distribution is not installed.
_STAND_INS = dict.fromkeys(
    (
        "uvicorn.workers.UvicornWorker",
        "uvicorn.workers.UvicornH11Worker",
        "uvicorn_worker.UvicornWorker",
        "uvicorn_worker.UvicornH11Worker",
    ),
    "asgi",
)

_THREADS = whole("threads", maximum=65535)


def _count_threads(value: object) -> int:
    # 0 is Gunicorn's other way to say one.
    return max(1, _THREADS.parse(value))


class WorkerProcesses(Section):
    """Settings of the worker processes."""

    __slots__ = ()
    title = "Worker Processes"

    workers = Setting(
        count_or_auto("processes"),
        "auto",
        "The number of worker processes; `auto` is what the processors and the memory have room "
        "for, within the limits of the container. The environment variable `WEB_CONCURRENCY` "
        "replaces the default.",
        cli=("-w", "--workers"),
        meta="INT",
        env=Env("WEB_CONCURRENCY"),
        gunicorn=1,
    )
    worker_class = ClassSetting(
        _WORKERS,
        "sync",
        "How a worker runs the application. `sync` calls it on the main thread, one request at "
        "a time, while slow clients and idle connections wait in the worker's event loop. "
        "`gthread` calls it on `threads` other threads. `gevent` and `eventlet` call it in "
        "greenlets, as many as there are connections with a request, after the standard library "
        "was patched to let others run while one waits. `tornado` is tornado's own server, for "
        "applications made of its handlers. `asgi` runs ASGI applications in an event loop. Where "
        "no class is chosen, an ASGI application gets `asgi`, and any other one `sync` or "
        "`gthread`. uvicorn's names for its workers mean `asgi` where uvicorn is not installed.",
        cli=("-k", "--worker-class"),
        group="gunicorn.workers",
        method="init_process",
        stand_ins=_STAND_INS,
    )
    threads = Setting(
        _THREADS.narrow(_count_threads, _THREADS.allowed),
        1,
        "The number of threads that run the application in each worker; 0 means one. With more "
        "than one, the worker class `sync` means `gthread`. Other worker classes do without.",
        cli=("--threads",),
        meta="INT",
    )
    worker_connections = Setting(
        whole("connections", minimum=1),
        1000,
        "How many client connections one worker keeps open at the same time, idle ones included.",
        cli=("--worker-connections",),
        meta="INT",
    )
    connection_handoff = Setting(
        SWITCH,
        True,
        "Whether a worker that is busy gives connections whose requests wait to one that is idle. "
        "Applications do not notice. Linux only; elsewhere a connection stays with the worker "
        "that has accepted it, as it does without this.",
        cli=("--no-connection-handoff",),
        ours=True,
    )
    max_requests = Setting(
        whole("requests"),
        0,
        "After how many requests a worker is replaced by a new one; 0 means never. It serves on "
        "until its successor is ready.",
        cli=("--max-requests",),
        meta="INT",
    )
    max_requests_jitter = Setting(
        whole("requests"),
        0,
        "Up to how many requests are added at random to `max_requests`, drawn anew for each "
        "worker, so that not all workers are replaced at the same time.",
        cli=("--max-requests-jitter",),
        meta="INT",
    )
    max_worker_lifetime = Setting(
        whole("seconds"),
        0,
        "After how many seconds a worker is replaced by a new one; 0 means never. Each worker "
        "takes up to a tenth less, at random, so that not all are replaced at the same time.",
        cli=("--max-worker-lifetime",),
        meta="SECONDS",
        ours=True,
    )
    max_memory = Setting(
        OCTETS,
        0,
        "How much memory a worker may take before it is replaced by a new one, in bytes or as in "
        "`300M`; 0 means any. It finishes its requests and serves on until its successor is "
        "ready. What counts is the resident size, looked at once a second.",
        cli=("--max-memory",),
        meta="BYTES",
        ours=True,
    )
    max_memory_hard = Setting(
        OCTETS,
        0,
        "How much memory a worker may take before it is killed and replaced, in bytes or as in "
        "`500M`; 0 means any. The request that it was working on is lost, and named in the log.",
        cli=("--max-memory-hard",),
        meta="BYTES",
        ours=True,
    )
    reload_surge = Setting(
        or_auto(whole("workers")),
        "auto",
        "How many workers may be there beyond their number while old ones are replaced by new "
        "ones. `auto` is as many as there are workers, where the memory limit of the container "
        "has room for them: then no old worker leaves before all new ones are ready, and a "
        "reload that fails changes nothing. With less they are replaced in steps, and with 0 "
        "each leaves before its successor starts.",
        cli=("--reload-surge",),
        meta="INT",
        ours=True,
    )
    timeout = Setting(
        whole("seconds"),
        30,
        "After how many seconds without a sign of life a worker is killed and replaced, with its "
        "requests and the stacks of its threads in the log. The `sync` worker gives none while "
        "a request runs. 0 means never.",
        cli=("-t", "--timeout"),
        meta="SECONDS",
    )
    request_timeout = Setting(
        whole("seconds"),
        0,
        "How many seconds the application may take for a request, until the last octet of its "
        "response is written. Then the client gets 504, or the end of its connection where the "
        "response had begun, the stack of the thread goes to the log, and others are served on. "
        "What the application answers after that is dropped. The lost thread is replaced, with "
        "as many lost as there are `threads` the worker; on `sync` that is the first. The "
        "application may choose another limit for a request by "
        '`environ["monoceros.set_timeout"](seconds)`, with ASGI by '
        '`scope["extensions"]["monoceros.set_timeout"](seconds)`. Of a WebSocket the handshake is '
        "limited, until it is accepted or denied, and only by this setting. 0 means no limit.",
        cli=("--request-timeout",),
        meta="SECONDS",
        ours=True,
    )
    boot_timeout = Setting(
        whole("seconds"),
        0,
        "After how many seconds a worker that is not ready is killed and replaced, with the "
        "import that it hangs in in the log; 0 means never. In any case a warning tells every "
        "`timeout` seconds where it is.",
        cli=("--boot-timeout",),
        meta="SECONDS",
        ours=True,
    )
    graceful_timeout = Setting(
        whole("seconds"),
        30,
        "How many seconds workers have to finish their requests on a stop, a reload or a "
        "replacement before they are killed.",
        cli=("--graceful-timeout",),
        meta="SECONDS",
    )
    shutdown_delay = Setting(
        whole("seconds"),
        0,
        "For how many seconds the server goes on accepting and answering after SIGTERM, before "
        "`graceful_timeout` begins. Every answer in that time ends its connection, so that a "
        "load balancer can take the server off its list and lose nothing. A second SIGTERM ends "
        "it early; SIGINT and SIGQUIT do without.",
        cli=("--shutdown-delay",),
        meta="SECONDS",
        ours=True,
    )
    keepalive = Setting(
        whole("seconds"),
        75,
        "For how many seconds a connection is kept open for its next request; 0 closes every "
        "connection after its first answer. Clients have two seconds more, and those that are not "
        "in `forwarded_allow_ips` are told the time in the field `Keep-Alive`. Unless it is set, "
        "it does not hold for the peers in `forwarded_allow_ips` at all: a proxy ends its idle "
        "connections itself, because a request that it sends at the moment in which they are "
        "closed would be lost.",
        cli=("--keep-alive",),
        meta="SECONDS",
        gunicorn=2,
    )
    http_parser = Setting(
        choice("auto", "fast", "python"),
        "auto",
        "Which of the two equal HTTP implementations runs: `fast` the compiled one, `python` "
        "the pure-Python one, `auto` the compiled one where it was built.",
        cli=("--http-parser",),
        meta="NAME",
    )
