"""Compressed messages: RFC 7692 sections 6 and 7.2."""

from __future__ import annotations

import random
import zlib

import pytest
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from monoceros.asgi.frames import Control, FrameError, FrameReader
from monoceros.asgi.websocket_deflate import Agreement, Deflater, Inflater
from tests.asgi.websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV2,
    TEXT,
    frame,
)

MAX = 1 << 20
TAIL = b"\x00\x00\xff\xff"


class Compressor:
    """A client's side."""

    def __init__(self, bits: int = 15, *, forgets: bool = False) -> None:
        self._bits = bits
        self._forgets = forgets
        self._renew()

    def _renew(self) -> None:
        # zlib makes a window of 512 octets for 256, which takes 9 bits to read.
        self._stream = zlib.compressobj(wbits=-max(9, self._bits))

    def __call__(self, data: bytes) -> bytes:
        """Return what goes over the wire for a message."""
        out = self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(TAIL)
        if self._forgets:
            self._renew()
        return out[:-4]


def agreement(
    client_bits: int = 15,
    server_bits: int = 12,
    *,
    client_forgets: bool = False,
    server_forgets: bool = False,
) -> Agreement:
    """Return what may have been agreed on."""
    return Agreement("", client_bits, client_forgets, server_bits, server_forgets)


def make_reader(max_size: int = MAX, agreed: Agreement | None = None) -> FrameReader:
    """Return a reader that decompresses."""
    reader = FrameReader(max_size)
    reader.inflater = Inflater(agreed or agreement())
    return reader


def read(reader: FrameReader, data: bytes) -> list[str | bytes | Control]:
    """Return all that is found."""
    found = []
    message = reader.read(data)
    while message is not None:
        found.append(message)
        message = reader.read()
    return found


def failure(data: bytes, max_size: int = MAX) -> int:
    """Return the code that octets fail the connection with."""
    with pytest.raises(FrameError) as caught:
        read(make_reader(max_size), data)
    return caught.value.code


# -- 7.2.3: the examples --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payloads",
    [
        ["f248cdc9c90700"],
        ["f248cdc9c90700", "f200110000"],
        ["f248cdc9c90700", "f248cdc9c90700"],
        ["000500faff48656c6c6f00"],
        ["f348cdc9c90700"],
        ["f24805000000ffffcac9c90700"],
        ["f348cdc9c9070000"],
        ["f348cdc9c9070000", "f348cdc9c9070000"],
        ["f348cdc9c9070000", "f248cdc9c90700"],
    ],
    ids=[
        "7.2.3.1-one-block",
        "7.2.3.2-window-shared",
        "7.2.3.2-window-not-used",
        "7.2.3.3-no-compression",
        "7.2.3.4-last-block",
        "7.2.3.5-two-blocks",
        "7.2.3.4-last-block-and-empty-one",
        "7.2.3.4-twice",
        "7.2.3.4-then-another",
    ],
)
def test_the_examples_of_rfc_7692(payloads: list[str]) -> None:
    data = b"".join(frame(TEXT, bytes.fromhex(payload), reserved=RSV1) for payload in payloads)
    assert read(make_reader(), data) == ["Hello"] * len(payloads)


def test_the_example_of_fragments() -> None:
    # 7.2.3.1: "Hello" in two frames
    data = frame(TEXT, bytes.fromhex("f248cd"), fin=False, reserved=RSV1)
    data += frame(CONTINUATION, bytes.fromhex("c9c90700"))
    assert read(make_reader(), data) == ["Hello"]


# -- 7.2.2: decompression -------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(8, 16), ids="7.1.2.2-{}-bits".format)
@pytest.mark.parametrize("forgets", [False, True], ids=["takeover", "no-takeover"])
def test_messages_are_decompressed(bits: int, forgets: bool) -> None:
    compress = Compressor(bits, forgets=forgets)
    reader = make_reader(agreed=agreement(max(9, bits), client_forgets=forgets))
    texts = [f"{number} {'lorem ipsum ' * number}" for number in range(40)]
    for text in texts:
        assert read(reader, frame(TEXT, compress(text.encode()), reserved=RSV1)) == [text]


@pytest.mark.parametrize("length", [1, 100, 125, 126, 2043, 2044, 2048, 4096, 65536, 1 << 20])
@pytest.mark.parametrize("is_random", [False, True], ids=["even", "random"])
def test_messages_of_any_length_are_decompressed(length: int, is_random: bool) -> None:
    payload = random.Random(length).randbytes(length) if is_random else bytes(length)
    compress = Compressor()
    reader = make_reader()
    for _ in range(2):
        assert read(reader, frame(BINARY, compress(payload), reserved=RSV1)) == [payload]


@pytest.mark.parametrize(
    "payload", [b"\x00", b"\x02\x00", b"\x01\x00\x00\xff\xff\x00"], ids=["7.2.3.6", "fixed", "last"]
)
def test_an_empty_message(payload: bytes) -> None:
    reader = make_reader()
    data = frame(TEXT, payload, reserved=RSV1) + frame(BINARY, payload, reserved=RSV1)
    assert read(reader, data) == ["", b""]
    assert read(reader, frame(TEXT, Compressor()(b"more"), reserved=RSV1)) == ["more"]


def test_an_empty_payload_is_an_empty_message() -> None:
    data = frame(TEXT, b"", reserved=RSV1) + frame(TEXT, Compressor()(b"more"), reserved=RSV1)
    assert read(make_reader(), data) == ["", "more"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_fragments_are_cut_anywhere(size: int) -> None:
    # 6.1: a message is compressed first, and fragmented then
    text = "".join(random.Random(1).choices("abcdefgh", k=3000))
    payload = Compressor()(text.encode())
    parts = [payload[i : i + size] for i in range(0, len(payload), size)]
    data = frame(TEXT, parts[0], fin=False, reserved=RSV1)
    data += b"".join(frame(CONTINUATION, part, fin=False) for part in parts[1:])
    data += frame(CONTINUATION)
    reader = make_reader()
    assert read(reader, data) == [text]
    assert read(reader, frame(TEXT, b"plain")) == ["plain"]


def test_empty_fragments_are_nothing() -> None:
    payload = Compressor()(b"Hello")
    data = frame(TEXT, b"", fin=False, reserved=RSV1) + frame(CONTINUATION, b"", fin=False)
    data += frame(CONTINUATION, payload, fin=False) + frame(CONTINUATION)
    assert read(make_reader(), data) == ["Hello"]


def test_control_frames_between_fragments_are_not_compressed() -> None:
    payload = Compressor()(b"Hello")
    data = frame(TEXT, payload[:2], fin=False, reserved=RSV1) + frame(PING, b"ping")
    data += frame(CONTINUATION, payload[2:])
    assert read(make_reader(), data) == [Control(PING, b"ping"), "Hello"]


def test_messages_may_go_uncompressed_in_between() -> None:
    # 6: "RSV1 ... uncompressed messages"
    compress = Compressor()
    data = frame(TEXT, compress(b"one"), reserved=RSV1) + frame(TEXT, b"two")
    data += frame(BINARY, b"th", fin=False) + frame(CONTINUATION, b"ree")
    data += frame(TEXT, compress(b"one"), reserved=RSV1)
    assert read(make_reader(), data) == ["one", "two", b"three", "one"]


@pytest.mark.parametrize(
    "opcode", [PING, PONG, CLOSE, CONTINUATION], ids=["ping", "pong", "close", "continuation"]
)
def test_rsv1_where_it_means_nothing_fails(opcode: int) -> None:
    # 6: "RSV1 ... MUST NOT be set on control frames or non-first fragments"
    data = frame(TEXT, b"", fin=False, reserved=RSV1) if opcode == CONTINUATION else b""
    assert failure(data + frame(opcode, reserved=RSV1)) == 1002


def test_other_reserved_bits_still_fail() -> None:
    assert failure(frame(TEXT, b"\x00", reserved=RSV1 | RSV2)) == 1002


@pytest.mark.parametrize(
    "payload",
    [b"\x07", b"\xff\xff\xff\xff", b"\x06\x01\x02\x03", b"\x00\x05\x00\x00\x00Hello"],
    ids=["block-type", "ones", "code-lengths", "stored-length"],
)
def test_what_is_not_deflate_fails(payload: bytes) -> None:
    assert failure(frame(BINARY, payload, reserved=RSV1)) == 1007


def test_a_reference_beyond_the_window_fails() -> None:
    # 7.1.2.2: a client that uses more than was agreed on
    block = random.Random(2).randbytes(600)
    compress = Compressor(15)
    first, second = compress(block), compress(block)
    reader = make_reader(agreed=agreement(9))
    assert read(reader, frame(BINARY, first, reserved=RSV1)) == [block]
    with pytest.raises(FrameError) as caught:
        read(reader, frame(BINARY, second, reserved=RSV1))
    assert caught.value.code == 1007


def test_a_reference_to_a_message_that_was_to_be_forgotten_fails() -> None:
    # 7.1.1.2
    compress = Compressor()
    text = b"a text that comes twice, and is not compressed twice"
    reader = make_reader(agreed=agreement(client_forgets=True))
    first, second = compress(text), compress(text)
    assert read(reader, frame(TEXT, first, reserved=RSV1)) == [text.decode()]
    with pytest.raises(FrameError) as caught:
        read(reader, frame(TEXT, second, reserved=RSV1))
    assert caught.value.code == 1007


@pytest.mark.parametrize("octets", [b"\xff", b"\xc3", b"\xed\xa0\x80"], ids=bytes.hex)
def test_text_is_judged_once_decompressed(octets: bytes) -> None:
    assert failure(frame(TEXT, Compressor()(octets), reserved=RSV1)) == 1007


def test_characters_may_be_split_over_fragments() -> None:
    compress = Compressor()
    first, second = compress(b"\xf0\x9f") + TAIL, compress(b"\x8e\x89")
    data = frame(TEXT, first, fin=False, reserved=RSV1) + frame(CONTINUATION, second)
    assert read(make_reader(), data) == ["🎉"]


# -- 7.2.3.4: streams that end by themselves ------------------------------------------------------


def test_several_streams_are_one_message() -> None:
    def finish(data: bytes) -> bytes:
        stream = zlib.compressobj(wbits=-15)
        return stream.compress(data) + stream.flush(zlib.Z_FINISH)

    payload = finish(b"Hello ") + finish(b"wor") + finish(b"ld") + b"\x00"
    for cut in range(1, len(payload)):
        data = frame(TEXT, payload[:cut], fin=False, reserved=RSV1)
        data += frame(CONTINUATION, payload[cut:])
        reader = make_reader()
        assert read(reader, data) == ["Hello world"]
        assert read(reader, frame(TEXT, Compressor()(b"next"), reserved=RSV1)) == ["next"]


def test_the_window_reaches_over_the_end_of_a_stream() -> None:
    dictionary = b"a text that the second stream refers to"
    first = zlib.compressobj(wbits=-15)
    second = zlib.compressobj(wbits=-15, zdict=dictionary)
    payload = first.compress(dictionary) + first.flush(zlib.Z_FINISH)
    payload += second.compress(dictionary) + second.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(payload) < 60
    expected = (dictionary * 2).decode()
    assert read(make_reader(), frame(TEXT, payload, reserved=RSV1)) == [expected]


def test_streams_without_end_fail() -> None:
    assert failure(frame(BINARY, b"\x03\x00" * 5000, reserved=RSV1)) == 1007


# -- 8, and RFC 6455 10.4: limits -----------------------------------------------------------------


@pytest.mark.parametrize("limit", [10, 1000, 100_000])
@pytest.mark.parametrize("is_random", [False, True], ids=["even", "random"])
def test_a_message_of_the_largest_size_is_read(limit: int, is_random: bool) -> None:
    payload = random.Random(limit).randbytes(limit) if is_random else bytes(limit)
    data = frame(BINARY, Compressor()(payload), reserved=RSV1)
    assert read(make_reader(limit), data) == [payload]


@pytest.mark.parametrize("limit", [0, 10, 1000, 100_000])
@pytest.mark.parametrize("is_random", [False, True], ids=["even", "random"])
def test_a_larger_message_fails(limit: int, is_random: bool) -> None:
    payload = random.Random(limit).randbytes(limit + 1) if is_random else bytes(limit + 1)
    assert failure(frame(BINARY, Compressor()(payload), reserved=RSV1), limit) == 1009


@pytest.mark.parametrize("is_split", [False, True], ids=["one-frame", "fragments"])
def test_a_bomb_is_not_set_off(is_split: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = zlib.compressobj(9, wbits=-15)
    bomb = stream.compress(bytes(256 << 20)) + stream.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(bomb) < 300_000
    limit = 1 << 20
    most = 0
    inflate = Inflater.inflate

    def watch(self: Inflater, data: bytes, is_last: bool, room: int) -> bytes:
        nonlocal most
        most = max(most, room)
        return inflate(self, data, is_last, room)

    monkeypatch.setattr(Inflater, "inflate", watch)
    data = frame(BINARY, bomb, reserved=RSV1)
    if is_split:
        parts = [bomb[i : i + 500] for i in range(0, len(bomb), 500)]
        data = frame(BINARY, parts[0], fin=False, reserved=RSV1)
        data += b"".join(frame(CONTINUATION, part, fin=False) for part in parts[1:])
    assert failure(data, limit) == 1009
    assert most == limit


def test_a_bomb_is_not_set_off_by_streams_that_end() -> None:
    stream = zlib.compressobj(9, wbits=-15)
    bomb = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FINISH)
    inflater = Inflater(agreement())
    with pytest.raises(FrameError) as caught:
        inflater.inflate(bomb * 1000, True, 5 << 20)
    assert caught.value.code == 1009


def test_a_compressed_payload_beyond_the_limit_fails_with_its_head() -> None:
    assert failure(frame(BINARY, bytes(5000), reserved=RSV1)[:4], 1000) == 1009


# -- 7.2.1: compression ---------------------------------------------------------------------------


@pytest.mark.parametrize("bits", range(9, 16), ids="7.1.2.1-{}-bits".format)
@pytest.mark.parametrize("forgets", [False, True], ids=["takeover", "no-takeover"])
def test_websockets_reads_what_is_compressed(bits: int, forgets: bool) -> None:
    deflater = Deflater(agreement(server_bits=bits, server_forgets=forgets))
    other = PerMessageDeflate(forgets, False, bits, 15)
    noise = random.Random(bits)
    for length in (1, 126, 5000, 40_000):
        for data in (noise.randbytes(length), b"lorem ipsum " * (length // 12 + 1)):
            payload = deflater.deflate(data)
            assert not payload.endswith(TAIL), "7.2.1: the end of a flush is left out"
            decoded = other.decode(Frame(Opcode.BINARY, payload, rsv1=True))
            assert bytes(decoded.data) == data


def test_the_window_is_kept_between_messages_unless_agreed_otherwise() -> None:
    text = random.Random(3).randbytes(300)
    keeps, forgets = Deflater(agreement()), Deflater(agreement(server_forgets=True))
    assert len(keeps.deflate(text)) > 300 > 30 > len(keeps.deflate(text))
    assert forgets.deflate(text) == forgets.deflate(text)
