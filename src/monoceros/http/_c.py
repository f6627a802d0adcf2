"""The compiled twin; ``ext/monoceros/http`` has its sources."""

from monoceros.http._accept import accept
from monoceros.http._calls import Calls
from monoceros.http._conn import Conn
from monoceros.http._core import Core
from monoceros.http._dialogue import Dialogue
from monoceros.http._head import parse_head
from monoceros.http._reader import HeadReader
from monoceros.http._record import Record
from monoceros.http._watch import Watch
from monoceros.http._wire import Wire, look

IMPL = "c"

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
