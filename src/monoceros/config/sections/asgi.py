"""How ASGI applications are run: their loop, their lifespan, and WebSockets."""

from monoceros.config.kinds import C_LONG_MAX, SWITCH, TEXT, choice, seconds, whole
from monoceros.config.setting import Section, Setting


class Asgi(Section):
    """ASGI applications, which the worker class `asgi` serves; others do not look at these."""

    __slots__ = ()
    title = "ASGI"

    asgi_loop = Setting(
        choice("auto", "asyncio", "uvloop"),
        "auto",
        "The event loop. `uvloop` takes a little less for each request, and has to be installed: "
        "`pip install 'monoceros[uvloop]'`. `auto` is uvloop where it is installed, else asyncio's "
        "own.",
        cli=("--asgi-loop",),
        meta="NAME",
    )
    asgi_lifespan = Setting(
        choice("auto", "on", "off"),
        "auto",
        "Whether the application is told of its worker's start and end, by the lifespan protocol. "
        "With `auto`, one that raises or returns where it is to start is taken for one that "
        "does not speak it; with `on` this ends the server, as with both a start does that the "
        "application says has failed. `boot_timeout` bounds the start, and what is left of "
        "`graceful_timeout` the end.",
        cli=("--asgi-lifespan",),
        meta="WHEN",
    )
    asgi_disconnect_grace_period = Setting(
        whole("seconds"),
        3,
        "For how many seconds a request may go on after its client has gone, of which it is told "
        "at once, before its task is cancelled. 0 cancels it at once. A WebSocket may go on for as "
        "long after its client or the server has closed it, and as long as it takes messages that "
        "have come before that. What an application does after it has closed a WebSocket itself, "
        "or completed a response, is not cancelled.",
        cli=("--asgi-disconnect-grace-period",),
        meta="SECONDS",
    )
    stream_grace = Setting(
        seconds(),
        0.1,
        "For how many seconds a stream of events (`text/event-stream`) may go on after its worker "
        "was told to leave, and the stream that its client has gone. Then the server ends it as if "
        "the application had, and the client connects anew, to a worker that stays.",
        cli=("--stream-grace",),
        meta="SECONDS",
        ours=True,
    )
    root_path = Setting(
        TEXT,
        "",
        "The path at which a proxy in front of the server has put the application: `root_path` of "
        "the scope, without a slash at its end. Where it is empty, it is the variable "
        "`SCRIPT_NAME` of the server's environment.",
        cli=("--root-path",),
        meta="PATH",
    )
    websocket_max_message_size = Setting(
        whole("bytes", maximum=C_LONG_MAX),
        16777216,
        "The largest message that a WebSocket client may send, in bytes, and once it is "
        "decompressed; a larger one closes the connection with 1009. 0 means any.",
        cli=("--websocket-max-message-size",),
        meta="BYTES",
    )
    websocket_ping_interval = Setting(
        seconds(),
        20,
        "After how many seconds a WebSocket client is sent a ping, and again after as many; 0 "
        "sends none.",
        cli=("--websocket-ping-interval",),
        meta="SECONDS",
        ours=True,
    )
    websocket_ping_timeout = Setting(
        seconds(),
        20,
        "How many seconds a WebSocket client may take to answer a ping before its connection is "
        "closed with 1011; 0 waits for ever.",
        cli=("--websocket-ping-timeout",),
        meta="SECONDS",
        ours=True,
    )
    websocket_per_message_deflate = Setting(
        SWITCH,
        True,
        "Whether messages of WebSockets are compressed where the client offers that "
        "(permessage-deflate).",
        cli=("--no-websocket-per-message-deflate",),
        ours=True,
    )
