"""Both twins over sockets: the same content read and the same answers, however it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from monoceros.http.types import Limits, Policy
from tests.http.both import REQUESTS, Both, both, fuzz, in_parts, without_date
from tests.http.link import Link
from tests.http.support import room_left

if TYPE_CHECKING:
    from collections.abc import Iterable

    from monoceros.http.types import Environ, StartResponse, Twin

__all__ = ["both"]

_SIZES = st.sampled_from([-1, 0, 1, 2, 7, 100])
_READS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), _SIZES),
        st.tuples(st.just("readline"), _SIZES),
        st.tuples(st.just("readlines"), _SIZES),
        st.tuples(st.just("list"), st.just(0)),
        st.tuples(st.just("write"), st.just(0)),
        st.tuples(st.just("hint"), st.just(0)),
    ),
    max_size=4,
)
_ANSWERS = st.sampled_from(["list", "generator", "lazy", "raise", "take"])


class Seen(NamedTuple):
    """What application and client see."""

    reads: list[object]
    output: bytes
    codes: list[int]
    refusals: list[str]
    failures: list[str]
    counters: dict[str, int]
    budget: tuple[int, int, int, int]


def serve(
    twin: Twin,
    parts: list[bytes],
    reads: list[tuple[str, int]],
    answer: str,
    limits: Limits,
    buffering: bool,
) -> Seen:
    seen: list[object] = []

    def act(environ: Environ, write: Any) -> None:
        body = environ["wsgi.input"]
        for name, size in reads:
            if name == "list":
                seen.append(list(body))
            elif name == "hint":
                environ["wsgi.early_hints"]([("Link", "a")])
            elif name == "write":
                write(b"written")
            else:
                seen.append(getattr(body, name)(size))

    def chunks(environ: Environ, write: Any) -> Iterable[bytes]:
        yield b"one"
        act(environ, write)
        yield b"two"

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if answer == "lazy":
            return chunks(environ, write)
        act(environ, write)
        if answer == "raise":
            raise ValueError
        if answer == "take":
            environ["gunicorn.socket"].sendall(b"raw")
        return [b"a", b"b"] if answer == "list" else iter([b"a", b"b"])

    # Nothing comes while the application waits, so a stall is as certain as it is short.
    policy = Policy(request_buffering=buffering, body_timeout=0.001)
    with Link(twin, app, "unix", limits=limits, policy=policy) as link:
        before = room_left(link.budget)
        for part in parts[:-1]:
            link.send(part)
            if link.step() != 0:
                break
        else:
            link.send(b"".join(parts[-1:]))
            link.half_close()
            link.step()
        # The end of a lingering connection is the client's.
        link.half_close()
        while link.conn.fd >= 0:
            link.step()
        output = without_date(link.receive_to_end())
        assert room_left(link.budget) == before
        counters = link.core.counters()
        return Seen(
            seen,
            output,
            link.codes,
            [str(error) for _, error in link.log.refusals],
            [f"{type(error).__name__} {error}" for _, error in link.log.failures],
            {name: counters[name] for name in ("requests", "responses", "errors")},
            before,
        )


@fuzz(400)
@given(
    in_parts(REQUESTS),
    _READS,
    _ANSWERS,
    st.sampled_from([Limits(), Limits(body_memory=5, body_spool=10), Limits(body=20)]),
    st.booleans(),
)
def test_streams(
    both: Both,
    parts: list[bytes],
    reads: list[tuple[str, int]],
    answer: str,
    limits: Limits,
    buffering: bool,
) -> None:
    compiled = serve(both.c, parts, reads, answer, limits, buffering)
    assert compiled == serve(both.py, parts, reads, answer, limits, buffering)
