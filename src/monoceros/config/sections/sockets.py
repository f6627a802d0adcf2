"""Where the server listens."""

from monoceros.config.kinds import ADDRESS_LIST, SWITCH, whole
from monoceros.config.setting import Env, Section, Setting


class ServerSocket(Section):
    """Settings of the listening sockets."""

    __slots__ = ()
    title = "Server Socket"

    bind = Setting(
        ADDRESS_LIST,
        ["127.0.0.1:8000"],
        "The addresses to listen on. The port is 8000 where none is given; an empty host means "
        "all IPv4 interfaces. `fd://NUMBER` is a socket that whoever starts the server has opened "
        "and bound. Sockets that systemd passes (`LISTEN_FDS`) take the place of all addresses. "
        "The command line option may be repeated. The environment variable `PORT` makes the "
        "default `0.0.0.0:$PORT`.",
        cli=("-b", "--bind"),
        meta="ADDRESS",
        env=Env("PORT", "0.0.0.0:{}"),
    )
    backlog = Setting(
        whole("connections"),
        2048,
        "How many connections may wait to be accepted, for each listening socket. The kernel "
        "has its own upper limit.",
        cli=("--backlog",),
        meta="INT",
    )
    reuse_port = Setting(
        SWITCH,
        False,
        "Give each worker a socket of its own on each TCP address (SO_REUSEPORT): the kernel "
        "spreads connections over them, without a look at who is busy. Other servers of the same "
        "user may listen on the same port. The sockets are kept for the workers that follow, so "
        "that no connection in a queue is lost by a reload or a death; it waits for the successor "
        "then. Shared as without this are unix sockets, those that systemd or `fd://` passes, "
        "those that were opened before it was switched on, and all outside of Linux.",
        cli=("--reuse-port",),
    )
