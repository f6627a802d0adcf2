"""The compiled twin; ``ext/monoceros/http`` has its sources."""

from monoceros.http._connection import Conn, Core, accept
from monoceros.http._head import parse_head

IMPL = "c"

__all__ = ["IMPL", "Conn", "Core", "accept", "parse_head"]
