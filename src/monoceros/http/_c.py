"""The compiled twin; ``ext/monoceros/http`` has its sources."""

from monoceros.http._accept import accept
from monoceros.http._conn import Conn
from monoceros.http._core import Core
from monoceros.http._exchange import HeadReader
from monoceros.http._head import parse_head
from monoceros.http._record import Record
from monoceros.http._watch import Watch

IMPL = "c"

__all__ = ["IMPL", "Conn", "Core", "HeadReader", "Record", "Watch", "accept", "parse_head"]
