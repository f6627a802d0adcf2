"""Whom and what to believe in a request."""

from monoceros.config.kinds import (
    FIELD_NAMES,
    FIELD_VALUES,
    NETWORKS,
    SWITCH,
    choice,
)
from monoceros.config.setting import Env, Section, Setting


class Proxies(Section):
    """What a proxy in front may say about its client."""

    __slots__ = ()
    title = "Proxies"

    forwarded_allow_ips = Setting(
        NETWORKS,
        "127.0.0.1,::1",
        "The proxies that are believed what they say about their clients; `*` means everybody, "
        "an empty value or None nobody. Peers on unix sockets are always believed. The environment "
        "variable `FORWARDED_ALLOW_IPS` replaces the default.",
        cli=("--forwarded-allow-ips",),
        meta="ADDRESSES",
        env=Env("FORWARDED_ALLOW_IPS", empty=True),
    )
    secure_scheme_headers = Setting(
        FIELD_VALUES,
        {
            "X-FORWARDED-PROTOCOL": "ssl",
            "X-FORWARDED-PROTO": "https",
            "X-FORWARDED-SSL": "on",
        },
        "The fields, with their values, by which a trusted proxy says that its client came over "
        "https. Where the value is `https`, a request for a WebSocket that is served by ASGI may "
        "have `wss` in its place.",
    )
    forwarder_headers = Setting(
        FIELD_NAMES,
        "SCRIPT_NAME,PATH_INFO",
        "The field names with an underscore that a trusted proxy may send; `*` means all, an "
        "empty value or None none.",
        cli=("--forwarder-headers",),
        meta="NAMES",
    )
    header_map = Setting(
        choice("drop", "refuse", "dangerous"),
        "drop",
        "What to do with other field names that contain an underscore, which applications "
        "cannot tell from a hyphen: leave them out, answer 400, or pass them on.",
        cli=("--header-map",),
        meta="NAME",
    )


class Leniency(Section):
    """What HTTP forbids, for clients that cannot be mended."""

    __slots__ = ()
    title = "Leniency"

    permit_missing_host = Setting(
        SWITCH,
        False,
        "Accept HTTP/1.1 requests without a Host field.",
        cli=("--permit-missing-host",),
        gunicorn=True,
        ours=True,
    )
    permit_obsolete_folding = Setting(
        SWITCH,
        False,
        "Accept field values that go on in the next line. Unsafe behind a proxy that reads them "
        "otherwise.",
        cli=("--permit-obsolete-folding",),
    )
    strip_header_spaces = Setting(
        SWITCH,
        False,
        "Accept blanks between a field name and its colon. Unsafe behind a proxy that reads "
        "them otherwise.",
        cli=("--strip-header-spaces",),
    )
    permit_unconventional_http_method = Setting(
        SWITCH,
        False,
        "Accept methods in lower case, with a `#`, or of unusual length.",
        cli=("--permit-unconventional-http-method",),
    )
    permit_unconventional_http_version = Setting(
        SWITCH,
        False,
        "Accept versions other than HTTP/1.x.",
        cli=("--permit-unconventional-http-version",),
    )
    casefold_http_method = Setting(
        SWITCH,
        False,
        "Turn methods into upper case.",
        cli=("--casefold-http-method",),
    )
