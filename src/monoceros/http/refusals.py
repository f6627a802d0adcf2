"""Why a request is refused: one table of statuses and reasons that both twins share."""

from __future__ import annotations

import enum

from monoceros.http.errors import BadRequest


class Refusal(enum.IntEnum):
    """What is wrong with a request; the compiled twin handles these as plain integers."""

    EMPTY_LINE = 1
    LINE_TOO_LONG = enum.auto()
    REQUEST_LINE = enum.auto()
    METHOD = enum.auto()
    UNCONVENTIONAL_METHOD = enum.auto()
    TARGET = enum.auto()
    VERSION = enum.auto()
    BARE_LF = enum.auto()
    FIELD_TOO_LONG = enum.auto()
    TOO_MANY_FIELDS = enum.auto()
    HEAD_TOO_LARGE = enum.auto()
    FOLDED_FIELD = enum.auto()
    FIELD_NAME = enum.auto()
    SPACE_BEFORE_COLON = enum.auto()
    FIELD_VALUE = enum.auto()
    UNSUPPORTED_VERSION = enum.auto()
    TARGET_FORM = enum.auto()
    MISSING_HOST = enum.auto()
    REPEATED_HOST = enum.auto()
    INVALID_HOST = enum.auto()
    REPEATED_CONTENT_TYPE = enum.auto()
    CODING_ON_1_0 = enum.auto()
    CODING_AND_LENGTH = enum.auto()
    CODING_LIST = enum.auto()
    UNKNOWN_CODING = enum.auto()
    CONTENT_LENGTH = enum.auto()
    REPEATED_LENGTH = enum.auto()
    CONTENT_TOO_LARGE = enum.auto()
    EXPECTATION = enum.auto()
    UNDERSCORE_IN_NAME = enum.auto()
    SCHEME_FIELDS = enum.auto()
    SCRIPT_NAME = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK_EXTENSION = enum.auto()
    CHUNK_END = enum.auto()
    TRAILER = enum.auto()
    FORBIDDEN_TRAILER = enum.auto()
    TRAILERS_TOO_LARGE = enum.auto()
    CONTENT_CUT_SHORT = enum.auto()
    NO_ROOM = enum.auto()


TABLE: dict[int, tuple[int, str]] = {
    Refusal.EMPTY_LINE: (400, "more than one empty line before the request line"),
    Refusal.LINE_TOO_LONG: (414, "request line longer than limit_request_line"),
    Refusal.REQUEST_LINE: (400, "request line is not method, target and version"),
    Refusal.METHOD: (400, "method is not a token"),
    Refusal.UNCONVENTIONAL_METHOD: (
        400,
        "unconventional method (see permit_unconventional_http_method)",
    ),
    Refusal.TARGET: (400, "request target has a character that is not allowed"),
    Refusal.VERSION: (400, "malformed HTTP version"),
    Refusal.BARE_LF: (400, "line ends in LF without CR"),
    Refusal.FIELD_TOO_LONG: (431, "field line longer than limit_request_field_size"),
    Refusal.TOO_MANY_FIELDS: (431, "more field lines than limit_request_fields"),
    Refusal.HEAD_TOO_LARGE: (431, "head larger than limit_request_head"),
    Refusal.FOLDED_FIELD: (400, "folded field line (see permit_obsolete_folding)"),
    Refusal.FIELD_NAME: (400, "field name is not a token"),
    Refusal.SPACE_BEFORE_COLON: (400, "space before the colon (see strip_header_spaces)"),
    Refusal.FIELD_VALUE: (400, "field value has a control character"),
    Refusal.UNSUPPORTED_VERSION: (505, "HTTP major version is not 1"),
    Refusal.TARGET_FORM: (400, "form of the request target does not fit the method"),
    Refusal.MISSING_HOST: (400, "HTTP/1.1 request without Host (see permit_missing_host)"),
    Refusal.REPEATED_HOST: (400, "more than one Host"),
    Refusal.INVALID_HOST: (400, "invalid Host"),
    Refusal.REPEATED_CONTENT_TYPE: (400, "more than one Content-Type"),
    Refusal.CODING_ON_1_0: (400, "Transfer-Encoding on HTTP/1.0"),
    Refusal.CODING_AND_LENGTH: (400, "both Transfer-Encoding and Content-Length"),
    Refusal.CODING_LIST: (400, "malformed Transfer-Encoding"),
    Refusal.UNKNOWN_CODING: (501, "transfer coding other than chunked"),
    Refusal.CONTENT_LENGTH: (400, "Content-Length is not a number"),
    Refusal.REPEATED_LENGTH: (400, "more than one Content-Length"),
    Refusal.CONTENT_TOO_LARGE: (413, "content larger than limit_request_body"),
    Refusal.EXPECTATION: (417, "expectation other than 100-continue"),
    Refusal.UNDERSCORE_IN_NAME: (400, "underscore in a field name (see header_map)"),
    Refusal.SCHEME_FIELDS: (400, "secure_scheme_headers contradict each other"),
    Refusal.SCRIPT_NAME: (500, "path does not begin with SCRIPT_NAME"),
    Refusal.CHUNK_SIZE: (400, "malformed chunk size"),
    Refusal.CHUNK_EXTENSION: (400, "malformed chunk extension"),
    Refusal.CHUNK_END: (400, "chunk longer than its size"),
    Refusal.TRAILER: (400, "malformed trailer field"),
    Refusal.FORBIDDEN_TRAILER: (400, "field that is not allowed in a trailer section"),
    Refusal.TRAILERS_TOO_LARGE: (431, "trailer section larger than the limits of the head"),
    Refusal.CONTENT_CUT_SHORT: (400, "content ended before its announced length"),
    Refusal.NO_ROOM: (503, "no room for another request body"),
}


def refusal(code: int) -> BadRequest:
    """Return the error that belongs to a code of ``Refusal``."""
    return BadRequest(*TABLE[code])
