"""The opening handshake: RFC 6455 sections 4.2 and 4.4, and RFC 7692 section 7.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monoceros.asgi.handshake import HandshakeError, judge
from tests.asgi.websocket_peer import NONCE, request_scope

if TYPE_CHECKING:
    from monoceros.asgi.websocket_deflate import Agreement


def refused(**changes: bytes | None) -> HandshakeError:
    """Return what a handshake is refused for."""
    with pytest.raises(HandshakeError) as caught:
        judge(request_scope(**changes), compress=True)
    return caught.value


def agree(*offers: bytes) -> Agreement | None:
    """Return what is agreed on, where the fields offer this."""
    scope = request_scope()
    scope["headers"] += [(b"sec-websocket-extensions", offer) for offer in offers]
    return judge(scope, compress=True).agreement


def test_the_example_of_rfc_6455_1_3() -> None:
    fields = judge(request_scope(), compress=True).answer(None, [])
    assert fields == [
        (b"upgrade", b"websocket"),
        (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"upgrade": b"WebSocket"},
        {"upgrade": b"WEBSOCKET"},
        {"upgrade": b"h2c, websocket"},
        {"connection": b"upgrade"},
        {"connection": b"UPGRADE"},
        {"connection": b"keep-alive, Upgrade"},
        {"connection": b"Upgrade,keep-alive"},
        {"connection": b"keep-alive ,\tupgrade\t, x"},
        {"sec_websocket_key": b" " + NONCE + b"\t"},
        {"sec_websocket_version": b" 13 "},
        {"origin": b"http://example.com"},
        {"cookie": b"a=b"},
        {"sec_websocket_extensions": b"x-unknown"},
    ],
    ids=str,
)
def test_a_good_handshake(changes: dict[str, bytes]) -> None:
    # 4.2.1: the names of tokens are compared without regard to case
    assert judge(request_scope(**changes), compress=True).key == NONCE


def test_fields_that_come_several_times_are_lists() -> None:
    scope = request_scope(connection=b"keep-alive")
    scope["headers"].append((b"connection", b"upgrade"))
    assert judge(scope, compress=True).key == NONCE


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"upgrade": None}, 426),
        ({"upgrade": b""}, 426),
        ({"upgrade": b"h2c"}, 426),
        ({"upgrade": b"websockets"}, 426),
        ({"connection": None}, 400),
        ({"connection": b"keep-alive"}, 400),
        ({"connection": b"no-upgrade"}, 400),
        ({"sec_websocket_key": None}, 400),
        ({"sec_websocket_key": b""}, 400),
        ({"sec_websocket_key": b"dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"sec_websocket_key": b"dGhlIHNhbXBsZSBub25j"}, 400),
        ({"sec_websocket_key": b"dGhlIHNhbXBsZSBub25jZTEy"}, 400),
        ({"sec_websocket_key": b"dGhlIHNhbXBsZSBub25jZ\xff=="}, 400),
        ({"sec_websocket_key": b"dGhlIHNhbXBsZSBub25jZ-=="}, 400),
        ({"sec_websocket_key": NONCE + b", " + NONCE}, 400),
        ({"sec_websocket_version": None}, 426),
        ({"sec_websocket_version": b""}, 426),
        ({"sec_websocket_version": b"8"}, 426),
        ({"sec_websocket_version": b"14"}, 426),
        ({"sec_websocket_version": b"013"}, 426),
        ({"sec_websocket_version": b"13, 8"}, 426),
        ({"sec_websocket_version": b"thirteen"}, 426),
        ({"sec_websocket_extensions": b"permessage-deflate;"}, 400),
        ({"sec_websocket_extensions": b"a b"}, 400),
        ({"sec_websocket_extensions": b'permessage-deflate; x="'}, 400),
    ],
    ids=str,
)
def test_a_bad_handshake(changes: dict[str, bytes | None], status: int) -> None:
    assert refused(**changes).status == status


def test_a_key_that_comes_twice_is_refused() -> None:
    # 11.3.1: "MUST NOT appear more than once in an HTTP request"
    scope = request_scope()
    scope["headers"].append((b"sec-websocket-key", NONCE))
    with pytest.raises(HandshakeError) as caught:
        judge(scope, compress=True)
    assert caught.value.status == 400


def test_another_version_is_told_which_one_is_spoken() -> None:
    # 4.4, and RFC 9110 15.5.22, which wants Upgrade
    fields = refused(sec_websocket_version=b"25").fields
    assert fields == ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "CONNECT", "get"])
def test_another_method_is_refused(method: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        judge({**request_scope(), "method": method}, compress=True)
    assert caught.value.status == 405
    assert caught.value.fields == ((b"allow", b"GET"),)


def test_http_1_0_is_refused() -> None:
    # 4.2.1: "HTTP/1.1 or higher"
    with pytest.raises(HandshakeError) as caught:
        judge({**request_scope(), "http_version": "1.0"}, compress=True)
    assert caught.value.status == 426


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([b""], []),
        ([b"chat"], ["chat"]),
        ([b"chat, superchat"], ["chat", "superchat"]),
        ([b" chat ,\tsuperchat,"], ["chat", "superchat"]),
        ([b"chat", b"superchat, v2"], ["chat", "superchat", "v2"]),
        ([b"Chat,chat"], ["Chat", "chat"]),
        ([b"base64url.bearer.k8s.io.abc_-"], ["base64url.bearer.k8s.io.abc_-"]),
    ],
    ids=str,
)
def test_subprotocols_are_read_in_their_order(values: list[bytes], expected: list[str]) -> None:
    scope = request_scope()
    scope["headers"] += [(b"sec-websocket-protocol", value) for value in values]
    assert judge(scope, compress=True).subprotocols == expected


def test_the_answer_has_subprotocol_extension_and_the_applications_fields() -> None:
    handshake = judge(request_scope(sec_websocket_extensions=b"permessage-deflate"), compress=True)
    fields = handshake.answer("chat", [(b"set-cookie", b"a=b"), (b"Set-Cookie", b"c=d")])
    assert fields[2:] == [
        (b"sec-websocket-protocol", b"chat"),
        (b"sec-websocket-extensions", b"permessage-deflate; server_max_window_bits=12"),
        (b"set-cookie", b"a=b"),
        (b"Set-Cookie", b"c=d"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"sec-websocket-protocol",
        b"Sec-WebSocket-Protocol",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"upgrade",
        b"connection",
        b"content-length",
        b"transfer-encoding",
    ],
    ids=str,
)
def test_what_is_the_servers_is_not_for_the_application_to_give(name: bytes) -> None:
    handshake = judge(request_scope(), compress=True)
    with pytest.raises(RuntimeError, match=r"websocket\.accept: .* not for the application"):
        handshake.answer(None, [(name, b"x")])


# -- RFC 7692 7.1: negotiation of permessage-deflate ----------------------------------------------

DEFLATE = "permessage-deflate"


@pytest.mark.parametrize(
    ("offer", "field", "client", "server"),
    [
        # 5.1 and 7.1: what the server adds is for it to choose
        (b"", "; server_max_window_bits=12", (15, False), (12, False)),
        # 7.1.1.1
        (
            b"; server_no_context_takeover",
            "; server_no_context_takeover; server_max_window_bits=12",
            (15, False),
            (12, True),
        ),
        # 7.1.1.2
        (
            b"; client_no_context_takeover",
            "; client_no_context_takeover; server_max_window_bits=12",
            (15, True),
            (12, False),
        ),
        # 7.1.2.1
        (b"; server_max_window_bits=15", "; server_max_window_bits=12", (15, False), (12, False)),
        (b"; server_max_window_bits=9", "; server_max_window_bits=9", (15, False), (9, False)),
        (b'; server_max_window_bits="10"', "; server_max_window_bits=10", (15, False), (10, False)),
        # 7.1.2.2
        (
            b"; client_max_window_bits",
            "; server_max_window_bits=12; client_max_window_bits=12",
            (12, False),
            (12, False),
        ),
        (
            b"; client_max_window_bits=15",
            "; server_max_window_bits=12; client_max_window_bits=12",
            (12, False),
            (12, False),
        ),
        (
            b"; client_max_window_bits=8",
            "; server_max_window_bits=12; client_max_window_bits=8",
            (8, False),
            (12, False),
        ),
        (
            b";client_max_window_bits=10;server_no_context_takeover;client_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover"
            "; server_max_window_bits=12; client_max_window_bits=10",
            (10, True),
            (12, True),
        ),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_an_offer_is_met(
    offer: bytes, field: str, client: tuple[int, bool], server: tuple[int, bool]
) -> None:
    agreement = agree(b"permessage-deflate" + offer)
    assert agreement is not None
    assert agreement.field == DEFLATE + field
    assert (agreement.client_bits, agreement.client_forgets) == client
    assert (agreement.server_bits, agreement.server_forgets) == server


@pytest.mark.parametrize(
    "offer",
    [
        b"permessage-bzip2",
        b"x-webkit-deflate-frame",
        b"permessage-deflate; unknown",
        b"permessage-deflate; unknown=1",
        b"permessage-deflate; server_no_context_takeover=1",
        b"permessage-deflate; client_no_context_takeover=true",
        b"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        b"permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; server_max_window_bits=7",
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; server_max_window_bits=010",
        b"permessage-deflate; server_max_window_bits=x",
        b"permessage-deflate; server_max_window_bits=10; server_max_window_bits=11",
        b"permessage-deflate; client_max_window_bits=7",
        b"permessage-deflate; client_max_window_bits=16",
        b"permessage-deflate; client_max_window_bits=+9",
        b"permessage-deflate; client_max_window_bits; client_max_window_bits=9",
        # zlib has no such window to compress with
        b"permessage-deflate; server_max_window_bits=8",
    ],
    ids=bytes.decode,
)
def test_an_offer_that_cannot_be_met_is_declined(offer: bytes) -> None:
    # 7.1: "A server MUST decline an extension negotiation offer ... if" ...
    assert agree(offer) is None


def test_the_next_offer_is_looked_at_then() -> None:
    # 5.2: "in order of preference"
    for offers in (
        (b"permessage-deflate; server_max_window_bits=8, permessage-deflate",),
        (b"permessage-deflate; server_max_window_bits=8", b"permessage-deflate"),
    ):
        agreement = agree(*offers)
        assert agreement is not None
        assert agreement.field == "permessage-deflate; server_max_window_bits=12"


def test_only_one_offer_is_accepted() -> None:
    agreement = agree(b"permessage-deflate; client_max_window_bits=9, permessage-deflate")
    assert agreement is not None
    assert agreement.field.count(DEFLATE) == 1
    assert agreement.client_bits == 9


@pytest.mark.parametrize("offer", [b"permessage-deflate", b"permessage-deflate;", b"a b"])
def test_offers_are_no_matter_where_compression_is_off(offer: bytes) -> None:
    handshake = judge(request_scope(sec_websocket_extensions=offer), compress=False)
    assert handshake.agreement is None
