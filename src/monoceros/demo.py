"""A small application to try the server with: ``monoceros monoceros.demo:app``.

It answers every request with what the server made of it, as a page, or as plain text for
clients that do not ask for HTML.
"""

from __future__ import annotations

import os
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monoceros.http.types import Environ, StartResponse

Rows = list[tuple[str, str]]


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer 200 with a description of the request and of the server."""
    sections = [("Request", _request(environ)), ("Header fields", _fields(environ))]
    sections.append(("Server", _server(environ)))
    html = "html" in str(environ.get("HTTP_ACCEPT", "")).lower()
    body = (_page(sections) if html else _text(sections)).encode("utf-8", "replace")
    kind = "text/html" if html else "text/plain"
    fields = [
        ("Content-Type", f"{kind}; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    start_response("200 OK", fields)
    return [body]


def _request(environ: Environ) -> Rows:
    return [
        ("Method", str(environ["REQUEST_METHOD"])),
        ("Path", _decode(environ.get("SCRIPT_NAME", "")) + _decode(environ.get("PATH_INFO", ""))),
        ("Query", _decode(environ.get("QUERY_STRING", ""))),
        ("Protocol", f"{environ.get('SERVER_PROTOCOL', '')} over {environ['wsgi.url_scheme']}"),
        ("Client", str(environ.get("REMOTE_ADDR", "")) or "a unix socket"),
    ]


def _fields(environ: Environ) -> Rows:
    fields = {
        key.removeprefix("HTTP_").replace("_", "-").title(): _decode(value)
        for key, value in environ.items()
        if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    }
    return sorted(fields.items())


def _server(environ: Environ) -> Rows:
    # Late: the application can then be imported where no HTTP implementation is needed.
    from monoceros import http

    return [
        ("Software", str(environ.get("SERVER_SOFTWARE", ""))),
        ("Address", f"{environ.get('SERVER_NAME', '')}:{environ.get('SERVER_PORT', '')}"),
        ("HTTP implementation", f"{http.IMPL} ({http.IMPL_REASON})"),
        ("Worker process", str(os.getpid())),
    ]


def _decode(value: object) -> str:
    # PEP 3333 hands octets over as latin-1 text.
    return str(value).encode("latin-1", "replace").decode("utf-8", "replace")


def _text(sections: Sequence[tuple[str, Rows]]) -> str:
    blocks = (
        "\n".join([title, *(f"  {name}: {value}" for name, value in rows)])
        for title, rows in sections
    )
    return "\n\n".join(blocks) + "\n"


def _page(sections: Sequence[tuple[str, Rows]]) -> str:
    tables = "\n".join(_table(title, rows) for title, rows in sections)
    return _PAGE.replace("TABLES", tables)


def _table(title: str, rows: Rows) -> str:
    lines = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<h2>{escape(title)}</h2>\n<table>\n{lines}\n</table>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Monoceros is running</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 }
h2 { font-size: 1rem; margin: 2rem 0 .5rem }
p { margin-top: .25rem; opacity: .75 }
table { border-collapse: collapse; width: 100% }
th, td { border-top: 1px solid #8884; padding: .35rem 0; text-align: left; vertical-align: top }
th { font-weight: 500; width: 13rem; padding-right: 1rem }
td { font-family: ui-monospace, monospace; font-size: .9rem; overflow-wrap: anywhere }
</style>
</head>
<body>
<h1>Monoceros is running</h1>
<p>This is what it saw of your request.</p>
TABLES
</body>
</html>
"""
