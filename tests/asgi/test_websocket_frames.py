"""Frames as a server reads them: RFC 6455 sections 5, 7.4 and 8.1; an id names its section."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.protocol import Protocol, Side

from monoceros.asgi import frames
from monoceros.asgi.frames import Control, FrameError, FrameReader
from tests.asgi.websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    KEY,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    close_frame,
    frame,
    split_frames,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    Found = str | bytes | Control

MAX = 1 << 20


def read(chunks: Iterable[bytes], max_size: int = MAX) -> list[Found]:
    """Return all that a reader finds; raises ``FrameError``."""
    reader = FrameReader(max_size)
    found = []
    for chunk in chunks:
        message = reader.read(chunk)
        while message is not None:
            found.append(message)
            message = reader.read()
    return found


def read_each_way(data: bytes, max_size: int = MAX) -> list[Found]:
    """Return what is found in octets that come at once, which is what is found if they do not."""
    found = read([data], max_size)
    if len(data) < 2000:
        assert read([data[i : i + 1] for i in range(len(data))], max_size) == found
    for cut in (1, 2, 3, 5, 6, 7, 8, 13, 14, 15, len(data) - 1):
        assert read([data[:cut], data[cut:]], max_size) == found
    return found


def failure(data: bytes, max_size: int = MAX) -> int:
    """Return the code that octets fail the connection with, however they come."""
    codes = []
    for chunks in ([data], [data[i : i + 1] for i in range(min(len(data), 2000))]):
        with pytest.raises(FrameError) as caught:
            read(chunks, max_size)
        codes.append(caught.value.code)
    assert codes[0] == codes[1]
    return codes[0]


# -- 5.2: framing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["5.6-text", "5.6-binary"])
@pytest.mark.parametrize(
    "length", [0, 1, 2, 124, 125, 126, 127, 255, 256, 65534, 65535, 65536, 65537, 300_000]
)
def test_a_message_of_any_length_is_read(opcode: int, length: int) -> None:
    payload = (b"0123456789abcdef" * (length // 16 + 1))[:length]
    expected = payload.decode() if opcode == TEXT else payload
    assert read_each_way(frame(opcode, payload)) == [expected]


def test_the_examples_of_rfc_6455_5_7() -> None:
    assert read_each_way(bytes.fromhex("818537fa213d7f9f4d5158")) == ["Hello"]
    assert read_each_way(bytes.fromhex("8a8537fa213d7f9f4d5158")) == [Control(PONG, b"Hello")]


def test_messages_that_come_together_are_told_apart() -> None:
    data = b"".join(frame(TEXT, b"%d" % number) for number in range(50))
    assert read_each_way(data) == [str(number) for number in range(50)]


def test_what_is_kept_is_read_later() -> None:
    reader = FrameReader(MAX)
    reader.keep(frame(TEXT, b"one")[:4])
    reader.keep(frame(TEXT, b"one")[4:] + frame(TEXT, b"two"))
    assert [reader.read(), reader.read(), reader.read()] == ["one", "two", None]
    reader.keep(frame(BINARY, b"three"))
    assert [reader.read(), reader.read()] == [b"three", None]


def test_what_is_kept_behind_a_message_that_was_read_is_not_lost() -> None:
    reader = FrameReader(MAX)
    assert reader.read(frame(TEXT, b"one") + frame(TEXT, b"two") + b"\x81") == "one"
    reader.keep(frame(TEXT, b"three")[1:])
    assert [reader.read(), reader.read(), reader.read()] == ["two", "three", None]


@pytest.mark.parametrize(
    ("length", "size"),
    [(0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)],
)
def test_a_length_in_more_octets_than_needed_fails(length: int, size: int) -> None:
    # 5.2: "the minimal number of bytes MUST be used to encode the length"
    assert failure(frame(BINARY, bytes(length), size=size)) == 1002


def test_a_length_with_the_highest_bit_fails() -> None:
    # 5.2: "the most significant bit MUST be 0"
    assert failure(b"\x82\xff" + (1 << 63).to_bytes(8, "big") + KEY) == 1002


@pytest.mark.parametrize(
    "opcode", [TEXT, BINARY, PING, PONG, CLOSE], ids=["text", "binary", "ping", "pong", "close"]
)
@pytest.mark.parametrize(
    "reserved", [RSV1, RSV2, RSV3, RSV1 | RSV2 | RSV3], ids=["rsv1", "rsv2", "rsv3", "all"]
)
def test_a_reserved_bit_without_an_extension_fails(opcode: int, reserved: int) -> None:
    # 5.2: "MUST be 0 unless an extension is negotiated"
    assert failure(frame(opcode, reserved=reserved)) == 1002


@pytest.mark.parametrize("reserved", [RSV1, RSV2, RSV3], ids=["rsv1", "rsv2", "rsv3"])
def test_a_reserved_bit_on_a_continuation_fails(reserved: int) -> None:
    data = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", reserved=reserved)
    assert failure(data) == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15], ids="5.2-opcode-{}".format)
@pytest.mark.parametrize("payload", [b"", b"x"], ids=["empty", "octet"])
def test_a_reserved_opcode_fails(opcode: int, payload: bytes) -> None:
    assert failure(frame(opcode, payload)) == 1002


@pytest.mark.parametrize("opcode", [3, 11], ids="5.2-opcode-{}".format)
def test_a_reserved_opcode_fails_between_fragments(opcode: int) -> None:
    assert failure(frame(TEXT, b"a", fin=False) + frame(opcode)) == 1002


# -- 5.3: masking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(10))
@pytest.mark.parametrize(
    "key", [bytes(4), b"\xff" * 4, b"\x01\x02\x03\x04", KEY], ids=["zero", "ones", "steps", "rfc"]
)
def test_every_octet_is_unmasked_with_its_part_of_the_key(key: bytes, length: int) -> None:
    payload = bytes(range(200, 200 + length))
    assert read_each_way(frame(BINARY, payload, key=key)) == [payload]


def test_each_frame_has_a_mask_of_its_own() -> None:
    data = frame(TEXT, b"abc", fin=False, key=b"1234") + frame(CONTINUATION, b"def", key=b"5678")
    assert read_each_way(data) == ["abcdef"]


@pytest.mark.parametrize(
    "opcode", [TEXT, BINARY, PING, PONG, CLOSE], ids=["text", "binary", "ping", "pong", "close"]
)
@pytest.mark.parametrize("length", [0, 5, 126], ids="5.1-{}".format)
def test_a_frame_without_a_mask_fails(opcode: int, length: int) -> None:
    # 5.1: "The server MUST close the connection upon receiving a frame that is not masked."
    assert failure(frame(opcode, bytes(length), key=None)) == 1002


# -- 5.4: fragmentation ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        [b"Hel", b"lo"],
        [b"a", b"b", b"c"],
        [b"", b"abc"],
        [b"abc", b""],
        [b"a", b"", b"b"],
        [b"", b""],
        [b"", b"", b"", b""],
        [b"x" * 70000, b"y", b"z" * 70000],
        [b"x"] * 500,
    ],
    ids=["two", "three", "first", "last", "middle", "empty", "emptiest", "long", "many"],
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["5.4-text", "5.4-binary"])
def test_fragments_are_one_message(opcode: int, parts: list[bytes]) -> None:
    data = frame(opcode, parts[0], fin=False)
    data += b"".join(frame(CONTINUATION, part, fin=False) for part in parts[1:-1])
    data += frame(CONTINUATION, parts[-1])
    whole = b"".join(parts)
    assert read_each_way(data) == [whole.decode() if opcode == TEXT else whole]


def test_a_message_may_follow_one_in_fragments() -> None:
    data = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b") + frame(BINARY, b"c")
    data += frame(BINARY, b"d", fin=False) + frame(CONTINUATION, b"e") + frame(TEXT, b"f")
    assert read_each_way(data) == ["ab", b"c", b"de", "f"]


@pytest.mark.parametrize(
    "data",
    [
        frame(CONTINUATION, b"a"),
        frame(CONTINUATION, b"a", fin=False),
        frame(CONTINUATION),
        frame(TEXT, b"a") + frame(CONTINUATION, b"b"),
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b") + frame(CONTINUATION, b"c"),
        frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
        frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
        frame(TEXT, b"a", fin=False) + frame(TEXT, b"b", fin=False),
        frame(BINARY, b"a", fin=False) + frame(TEXT, b"b"),
        frame(BINARY, b"", fin=False) + frame(BINARY, b""),
    ],
    ids=[
        "nothing-to-continue",
        "nothing-to-continue-yet",
        "nothing-to-continue-empty",
        "after-a-whole-message",
        "after-the-last",
        "text-in-text",
        "binary-in-text",
        "fragment-in-text",
        "text-in-binary",
        "empty-in-binary",
    ],
)
def test_a_fragment_out_of_order_fails(data: bytes) -> None:
    assert failure(data) == 1002


# -- 5.5: control frames --------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 124, 125])
@pytest.mark.parametrize("opcode", [PING, PONG], ids=["5.5.2-ping", "5.5.3-pong"])
def test_a_control_frame_is_returned(opcode: int, length: int) -> None:
    assert read_each_way(frame(opcode, bytes(length))) == [Control(opcode, bytes(length))]


def test_control_frames_come_from_between_fragments() -> None:
    # 5.4: "Control frames MAY be injected in the middle of a fragmented message."
    data = frame(TEXT, b"a", fin=False) + frame(PING, b"1")
    data += frame(CONTINUATION, b"b", fin=False) + frame(PONG, b"2") + frame(PING)
    data += frame(CONTINUATION, b"c") + frame(CLOSE)
    assert read_each_way(data) == [
        Control(PING, b"1"),
        Control(PONG, b"2"),
        Control(PING, b""),
        "abc",
        Control(CLOSE, b""),
    ]


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG], ids=["close", "ping", "pong"])
def test_a_fragmented_control_frame_fails(opcode: int) -> None:
    assert failure(frame(opcode, b"", fin=False)) == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG], ids=["close", "ping", "pong"])
@pytest.mark.parametrize("length", [126, 127, 65536])
def test_a_long_control_frame_fails(opcode: int, length: int) -> None:
    data = frame(opcode, bytes(length))
    assert failure(data) == 1002
    assert failure(data[:3]) == 1002, "its head alone tells"


# -- 8.1: UTF-8 -----------------------------------------------------------------------------------

VALID = ["\0", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufeff", "\uffff"]
VALID += ["\U00010000", "\U0010ffff", "κόσμε", "Hello-µ@ßöä🎉"]
INVALID = {
    "lone-continuation": b"\x80",
    "continuations": b"\x80\xbf\x80\xbf",
    "cut-2": b"\xc3",
    "cut-3": b"\xe2\x82",
    "cut-4": b"\xf0\x9f\x8e",
    "start-then-ascii": b"\xc3(",
    "overlong-2": b"\xc0\xaf",
    "overlong-2-nul": b"\xc0\x80",
    "overlong-3": b"\xe0\x80\xaf",
    "overlong-4": b"\xf0\x80\x80\xaf",
    "surrogate-high": b"\xed\xa0\x80",
    "surrogate-low": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\x80\xed\xb0\x80",
    "too-large": b"\xf4\x90\x80\x80",
    "five-octets": b"\xf8\x88\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "late": b"Hello \xce\xba\xe1\xbd\xb9\xed\xa0\x80edited",
}


@pytest.mark.parametrize("text", VALID, ids=ascii)
def test_valid_text_is_read(text: str) -> None:
    assert read_each_way(frame(TEXT, text.encode())) == [text]


@pytest.mark.parametrize("text", VALID, ids=ascii)
def test_characters_may_be_split_over_fragments(text: str) -> None:
    octets = text.encode()
    parts = [frame(CONTINUATION, octets[i : i + 1], fin=False) for i in range(len(octets))]
    data = frame(TEXT, fin=False) + b"".join(parts) + frame(CONTINUATION)
    assert read_each_way(data) == [text]


@pytest.mark.parametrize("octets", INVALID.values(), ids=INVALID)
def test_invalid_text_fails(octets: bytes) -> None:
    assert failure(frame(TEXT, octets)) == 1007


@pytest.mark.parametrize("octets", INVALID.values(), ids=INVALID)
def test_invalid_text_in_fragments_fails(octets: bytes) -> None:
    data = frame(TEXT, octets[:1], fin=False) + frame(CONTINUATION, octets[1:])
    assert failure(data) == 1007


@pytest.mark.parametrize("octets", INVALID.values(), ids=INVALID)
def test_a_binary_message_is_no_text(octets: bytes) -> None:
    assert read_each_way(frame(BINARY, octets)) == [octets]


# -- 7.4 and 5.5.1: Close -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999], ids="7.4-{}".format
)
def test_a_valid_close_code(code: int) -> None:
    assert frames.parse_close(code.to_bytes(2, "big") + "bye µ".encode()) == (code, "bye µ")
    assert frames.is_sendable(code)


@pytest.mark.parametrize(
    "code",
    [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535],
    ids="7.4-{}".format,
)
def test_an_invalid_close_code(code: int) -> None:
    with pytest.raises(FrameError) as caught:
        frames.parse_close(code.to_bytes(2, "big"))
    assert caught.value.code == 1002
    assert not frames.is_sendable(code)


def test_a_close_without_a_code() -> None:
    # 7.1.5: "_The WebSocket Connection Close Code_ is considered to be 1005."
    assert frames.parse_close(b"") == (1005, "")


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x03", 1002), (b"\x03\xe8\xc3", 1007), (b"\x03\xe8\xed\xa0\x80", 1007)],
    ids=["5.5.1-one-octet", "8.1-cut", "8.1-surrogate"],
)
def test_a_malformed_close(payload: bytes, code: int) -> None:
    with pytest.raises(FrameError) as caught:
        frames.parse_close(payload)
    assert caught.value.code == code


def test_the_longest_reason_is_read_and_sent() -> None:
    reason = "r" * 123
    assert frames.parse_close(b"\x03\xe8" + reason.encode()) == (1000, reason)
    assert split_frames(frames.make_close(1000, reason)) == [(0x88, b"\x03\xe8" + b"r" * 123)]


@pytest.mark.parametrize("reason", ["r" * 200, "µ" * 62, "€" * 42, "🎉" * 31])
def test_a_longer_reason_is_cut_between_characters(reason: str) -> None:
    # 5.5: "All control frames MUST have a payload length of 125 bytes or less"
    [(first, payload)] = split_frames(frames.make_close(1000, reason))
    assert first == FIN | CLOSE
    assert 119 < len(payload) <= 125
    assert reason.startswith(payload[2:].decode())


# -- 5.1 and 5.2: what a server sends -------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, "8200"),
        (1, "8201"),
        (125, "827d"),
        (126, "827e007e"),
        (127, "827e007f"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
    ],
)
def test_the_head_of_a_frame_is_as_short_as_it_can_be(length: int, head: str) -> None:
    assert frames.make_frame(FIN | BINARY, bytes(length)) == bytes.fromhex(head) + bytes(length)


# -- 10.4: limits ---------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 125, 126, 1000, 70000])
def test_a_message_of_the_largest_size_is_read(limit: int) -> None:
    payload = bytes(limit)
    assert read_each_way(frame(BINARY, payload), limit) == [payload]
    halves = frame(BINARY, payload[:-1], fin=False) + frame(CONTINUATION, payload[-1:])
    assert read_each_way(halves * 2, limit) == [payload, payload]


@pytest.mark.parametrize("limit", [0, 1, 125, 126, 1000, 70000])
def test_a_larger_message_fails_with_its_head(limit: int) -> None:
    payload = bytes(limit + 1)
    data = frame(BINARY, payload)
    assert failure(data, limit) == 1009
    assert failure(data[: len(data) - len(payload) - 4], limit) == 1009


def test_a_length_beyond_all_memory_fails() -> None:
    assert failure(b"\x82\xff" + ((1 << 63) - 1).to_bytes(8, "big")) == 1009


def test_fragments_count_together() -> None:
    data = frame(TEXT, b"12345", fin=False) + frame(CONTINUATION, b"678", fin=False)
    assert failure(data + frame(CONTINUATION, b"901")[:2], 10) == 1009


def test_control_frames_do_not_count() -> None:
    data = frame(TEXT, b"12345", fin=False) + frame(PING, bytes(100)) + frame(CONTINUATION, b"6")
    assert read_each_way(data, 6) == [Control(PING, bytes(100)), "123456"]


# -- a second opinion -----------------------------------------------------------------------------


@st.composite
def _streams(draw: st.DrawFn) -> bytes:
    """Draw frames that follow the rules for the most part."""
    data = b""
    for _ in range(draw(st.integers(1, 6))):
        data += frame(
            draw(st.sampled_from([TEXT, TEXT, BINARY, CONTINUATION, CONTINUATION, PING, PONG, 3])),
            draw(st.sampled_from([b"", b"a", "µ".encode(), b"\xc2", b"\xb5", b"x" * 130])),
            fin=draw(st.booleans()),
            reserved=draw(st.sampled_from([0] * 20 + [RSV1, RSV2, RSV3])),
            key=draw(st.sampled_from([KEY] * 20 + [None])),
        )
    return data


def _ask_websockets(data: bytes) -> tuple[list[tuple[int, bool, bytes]], str | None]:
    """Return the frames that websockets takes, and what it fails the connection for."""
    protocol = Protocol(Side.SERVER, max_size=None)
    protocol.receive_data(data)
    error = protocol.parser_exc
    assert error is None or isinstance(error, ProtocolError)
    kind = None if error is None else "protocol"
    taken = [(e.opcode, e.fin, bytes(e.data)) for e in protocol.events_received()]  # type: ignore[union-attr]
    return taken, kind


def _join(taken: list[tuple[int, bool, bytes]]) -> list[tuple[int, bytes]]:
    """Put the fragments together that websockets leaves to its caller."""
    joined = []
    opcode, content = 0, b""
    for code, fin, payload in taken:
        if code >= CLOSE:
            joined.append((code, payload))
            continue
        opcode, content = (opcode, content + payload) if code == 0 else (code, payload)
        if fin:
            joined.append((opcode, content))
    return joined


@settings(derandomize=True, max_examples=500, deadline=None)
@given(_streams())
def test_websockets_takes_and_refuses_the_same(data: bytes) -> None:
    reader = FrameReader(MAX)
    found: list[tuple[int, bytes]] = []
    kind = None
    try:
        message = reader.read(data)
        while message is not None:
            if isinstance(message, Control):
                found.append((message.opcode, message.payload))
            elif isinstance(message, str):
                found.append((TEXT, message.encode()))
            else:
                found.append((BINARY, message))
            message = reader.read()
    except FrameError as error:
        kind = {1002: "protocol", 1007: "text"}[error.code]
    taken, other = _ask_websockets(data)
    joined = _join(taken)
    if kind == "text":  # which websockets leaves to its caller
        assert joined[: len(found)] == found
        with pytest.raises(UnicodeDecodeError):
            joined[len(found)][1].decode()
    else:
        assert (found, kind) == (joined, other)


def test_a_close_of_a_client_is_what_websockets_makes_of_it() -> None:
    [control] = read_each_way(close_frame(4000, b"reason"))
    assert isinstance(control, Control)
    assert frames.parse_close(control.payload) == (4000, "reason")
