"""The pure-Python twin."""

from monoceros.http._accept_py import accept
from monoceros.http._calls_py import Calls
from monoceros.http._conn_py import Conn
from monoceros.http._core_py import Core
from monoceros.http._dialogue_py import Dialogue
from monoceros.http._head_py import parse_head
from monoceros.http._reader_py import HeadReader
from monoceros.http._record_py import Record
from monoceros.http._watch_py import Watch
from monoceros.http._wire_py import Wire, look

IMPL = "py"

__all__ = [
    "IMPL",
    "Calls",
    "Conn",
    "Core",
    "Dialogue",
    "HeadReader",
    "Record",
    "Watch",
    "Wire",
    "accept",
    "look",
    "parse_head",
]
