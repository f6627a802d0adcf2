"""The environ: PEP 3333, and what Gunicorn's applications know besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.http.environ import base_environ
from monoceros.http.types import Rules
from tests.http.support import GET, Errors, Recorder, make_conn, make_core, serve, serve_on

if TYPE_CHECKING:
    from monoceros.http.types import Environ, StartResponse, Twin

RAW = b"GET /a%20b/c?d=%20e HTTP/1.1\r\nHost: h:81\r\nX-Y: 1\r\n\r\n"


def environ_of(twin: Twin, request: bytes = GET, **options: object) -> Environ:
    """The environ that the application sees."""
    seen: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return []

    serve(twin, app, request, **options)
    (environ,) = seen
    return environ


def test_all_keys(twin: Twin) -> None:
    """Nothing is missing, and nothing of the process's environment is there."""
    errors = Errors()
    base = base_environ("monoceros/1", errors, False, True)
    environ = environ_of(twin, RAW, base=base)
    constant = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a%20b/c?d=%20e",
        "PATH_INFO": "/a b/c",
        "QUERY_STRING": "d=%20e",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "monoceros/1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": "h:81",
        "HTTP_X_Y": "1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": errors,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    objects = {"wsgi.input", "wsgi.file_wrapper", "wsgi.early_hints", "gunicorn.socket"} | {
        "monoceros.client_disconnected",
        "monoceros.set_timeout",
    }
    assert {key: value for key, value in environ.items() if key not in objects} == constant
    assert objects <= set(environ)


def test_it_is_a_dict_of_its_own(twin: Twin) -> None:
    """PEP 3333: a builtin dict that the application may change; the next request has another."""
    seen: list[Environ] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.append(dict(environ))
        assert type(environ) is dict
        environ.clear()
        environ["HTTP_X"] = "left over"
        environ["wsgi.url_scheme"] = "gopher"
        start_response("200 OK", [])
        return []

    core = make_core(twin, app)
    conn = make_conn(twin, core)
    serve_on(conn, core, GET + GET)
    serve_on(conn, core, GET)
    serve_on(make_conn(twin, core), core, GET)
    assert len(seen) == 4
    assert seen[0] == seen[1] == seen[2]
    assert {key: seen[3][key] for key in seen[0] if key.isupper()} == {
        key: value for key, value in seen[0].items() if key.isupper()
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PATCH", "PROPFIND"])
def test_method(twin: Twin, method: str) -> None:
    request = f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert environ_of(twin, request)["REQUEST_METHOD"] == method


def test_all_strings_are_native(twin: Twin) -> None:
    environ = environ_of(twin, b"GET /%e9 HTTP/1.1\r\nHost: a\r\nX: \xe9\xff\r\nY: a\r\n\r\n")
    assert environ["HTTP_X"] == "\xe9\xff"
    assert environ["PATH_INFO"] == "/\xe9"
    assert all(type(value) is str for key, value in environ.items() if key.isupper())


def test_content_keys(twin: Twin) -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-type: a/b\r\nCONTENT-LENGTH: 2\r\n\r\nhi"
    environ = environ_of(twin, request)
    assert environ["CONTENT_TYPE"] == "a/b"
    assert environ["CONTENT_LENGTH"] == "2"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_no_content_keys_without_content(twin: Twin) -> None:
    environ = environ_of(twin)
    assert "CONTENT_TYPE" not in environ
    assert "CONTENT_LENGTH" not in environ


def test_field_names_in_any_case(twin: Twin) -> None:
    for name in (b"User-Agent", b"user-agent", b"USER-AGENT", b"uSeR-aGeNt"):
        request = b"GET / HTTP/1.1\r\nHost: a\r\n" + name + b": x\r\n\r\n"
        assert environ_of(twin, request)["HTTP_USER_AGENT"] == "x"


def test_many_different_names(twin: Twin) -> None:
    """More than any table of known names holds, one request after the other."""
    core = make_core(twin, lambda environ, start_response: [])

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [environ[f"HTTP_X_{environ['QUERY_STRING']}"].encode()]

    core = make_core(twin, app)
    conn = make_conn(twin, core)
    for number in range(3000):
        head = f"GET /?{number} HTTP/1.1\r\nHost: a\r\nX-{number}: {number}\r\n\r\n"
        serve_on(conn, core, head.encode())
        assert conn.data_to_send().endswith(f"\r\n\r\n{number}".encode())


def test_repeated_fields_in_linear_time(twin: Twin) -> None:
    """As many as the limits permit."""
    lines = b"X: " + b"a" * 600 + b"\r\nCookie: a\r\n"
    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines * 49 + b"\r\n"
    environ = environ_of(twin, request)
    assert environ["HTTP_X"] == ",".join(["a" * 600] * 49)
    assert environ["HTTP_COOKIE"] == "; ".join(["a"] * 49)


def test_version_1_0(twin: Twin) -> None:
    assert environ_of(twin, b"GET / HTTP/1.0\r\n\r\n")["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_ipv6(twin: Twin) -> None:
    environ = environ_of(twin, local=("::1", 8000, 0, 0), remote=("::2", 9, 0, 0))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("::1", "8000")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("::2", "9")


@pytest.mark.parametrize("remote", ["", b"", b"\x00abstract"])
def test_a_unix_peer_has_no_address(twin: Twin, remote: object) -> None:
    environ = environ_of(twin, local="/run/app.sock", remote=remote)
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        (b"b", "b", "80"),
        (b"b:81", "b", "81"),
        (b"b:", "b", "80"),
        (b"[::1]", "[::1]", "80"),
        (b"[::1]:81", "[::1]", "81"),
        (b"", "/run/app.sock", ""),
    ],
)
def test_a_unix_listener_is_named_by_host(twin: Twin, host: bytes, name: str, port: str) -> None:
    request = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    environ = environ_of(twin, request, local="/run/app.sock", remote="")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


def test_a_unix_listener_without_host(twin: Twin) -> None:
    environ = environ_of(twin, b"GET / HTTP/1.0\r\n\r\n", local="/run/app.sock", remote="")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("/run/app.sock", "")


def test_the_port_of_a_secure_unix_listener(twin: Twin) -> None:
    request = b"GET / HTTP/1.1\r\nHost: b\r\nX-Forwarded-Proto: https\r\n\r\n"
    environ = environ_of(twin, request, local="/run/app.sock", remote="", trusted=True)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("b", "443")


def test_a_unix_listener_and_absolute_form(twin: Twin) -> None:
    """RFC 9112 3.2.2: the target's authority is the host."""
    request = b"GET http://c:82/ HTTP/1.1\r\nHost: b\r\n\r\n"
    environ = environ_of(twin, request, local="/run/app.sock", remote="")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("c", "82")


def test_scheme_of_the_listener(twin: Twin) -> None:
    assert environ_of(twin, scheme="https")["wsgi.url_scheme"] == "https"


def test_script_name_of_the_process(twin: Twin) -> None:
    base = {**base_environ("a", Errors(), False, True), "SCRIPT_NAME": "/app"}
    environ = environ_of(twin, b"GET /app/x HTTP/1.1\r\nHost: a\r\n\r\n", base=base)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "/x")
    environ = environ_of(twin, b"GET /app HTTP/1.1\r\nHost: a\r\n\r\n", base=base)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "")


def test_targets_without_a_path_are_inside_of_any_script_name(twin: Twin) -> None:
    base = {**base_environ("a", Errors(), False, True), "SCRIPT_NAME": "/app"}
    for target in (b"OPTIONS *", b"CONNECT b:1"):
        request = target + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        environ = environ_of(twin, request, base=base)
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "")


def test_a_path_outside_of_the_processs_script_name(twin: Twin) -> None:
    base = {**base_environ("a", Errors(), False, True), "SCRIPT_NAME": "/app"}
    served = serve(twin, lambda environ, start_response: [], GET, base=base)
    assert served.response.status == 500
    assert served.log.failures == []


def test_the_proxys_script_name_overrides_the_processs(twin: Twin) -> None:
    base = {**base_environ("a", Errors(), False, True), "SCRIPT_NAME": "/app"}
    request = b"GET /b/x HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /b\r\n\r\n"
    environ = environ_of(twin, request, base=base, trusted=True)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/b", "/x")


def test_other_scheme_fields(twin: Twin) -> None:
    rules = Rules(secure_scheme_headers={"X-SCHEME": "tls"})
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Scheme: tls\r\nX-Forwarded-Proto: http\r\n\r\n"
    environ = environ_of(twin, request, rules=rules, trusted=True)
    assert environ["wsgi.url_scheme"] == "https"


def test_keep_alive_requests_do_not_inherit_a_scheme(twin: Twin) -> None:
    schemes: list[str] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        schemes.append(environ["wsgi.url_scheme"])
        start_response("200 OK", [])
        return []

    secure = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n"
    serve(twin, app, secure + GET + secure, trusted=True)
    assert schemes == ["https", "http", "https"]


def test_refusals_quote_nothing(twin: Twin) -> None:
    """The log gets the peer and a reason from a fixed table."""
    log = Recorder()
    serve(twin, lambda environ, start_response: [], b"\x00secret / HTTP/1.1\r\n\r\n", log=log)
    ((peer, error),) = log.refusals
    assert peer == "127.0.0.1"
    assert str(error) == "400 method is not a token"


def test_file_wrapper_is_an_iterable(twin: Twin) -> None:
    import io

    wrapper = environ_of(twin)["wsgi.file_wrapper"]
    file = io.BytesIO(b"abcde")
    wrapped = wrapper(file, 2)
    assert list(wrapped) == [b"ab", b"cd", b"e"]
    wrapped.close()
    assert file.closed
