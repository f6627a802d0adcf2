"""What applications may do that PEP 3333 does not foresee, and what callbacks may raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from monoceros.http.types import CLOSE
from tests.http.support import GET, Recorder, serve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monoceros.http.types import Environ, StartResponse, Twin

CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Octets(bytes):
    """Bytes of an application's own kind."""


def hello(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


# -- results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "write"])
@pytest.mark.parametrize("size", [3, 20_000])
def test_a_subclass_of_bytes_is_bytes(twin: Twin, kind: str, size: int) -> None:
    item = Octets(b"x" * size)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if kind == "write":
            write(item)
            return []
        if kind == "generator":
            return (one for one in [item])
        return [item] if kind == "list" else (item,)

    served = serve(twin, app, GET)
    assert served.response.body == b"x" * size
    assert served.log.failures == []


def test_a_list_that_shrinks_while_it_is_sent(twin: Twin) -> None:
    """The fields are the application's code, too."""
    result = [b"x" * 100 for _ in range(1000)]

    class Fields(list):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Any]:
            result.clear()
            return super().__iter__()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", Fields([("X", "y")]))
        return result

    served = serve(twin, app, GET)
    assert (served.code, served.response.whole) == (CLOSE, False)


def test_a_list_whose_items_change_while_it_is_sent(twin: Twin) -> None:
    result: list[Any] = [b"x" * 5]

    class Fields(list):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Any]:
            result[0] = 12345
            return super().__iter__()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", Fields([("X", "y")]))
        return result

    served = serve(twin, app, GET)
    assert served.response.status == 500
    assert [type(error) for _, error in served.log.failures] == [TypeError]


# -- start_response and write ------------------------------------------------------------------


@pytest.mark.parametrize("exc_info", [(), (None,), [1], 7, "abc", (None, None, None)])
def test_exc_info_that_is_none(twin: Twin, exc_info: Any) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "1")])
        write(b"a")
        start_response("500 No", [], exc_info)
        return []

    served = serve(twin, app, GET)
    assert served.response.body == b"a"
    assert len(served.log.failures) == 1
    assert isinstance(served.log.failures[0][1], Exception)


# -- errors out of callbacks -------------------------------------------------------------------


class BrokenLog(Recorder):
    """A log whose callbacks raise."""

    def refused(self, peer: str, error: Any) -> None:
        raise RuntimeError("log")

    def failed(self, environ: Environ, error: BaseException) -> None:
        raise RuntimeError("log")

    def warning(self, message: str) -> None:
        raise RuntimeError("log")


# -- one request at a time ---------------------------------------------------------------------


# -- the rest ----------------------------------------------------------------------------------
