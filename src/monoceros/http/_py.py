"""The pure-Python twin."""

from monoceros.http._accept_py import accept
from monoceros.http._conn_py import Conn
from monoceros.http._core_py import Core
from monoceros.http._head_py import parse_head

IMPL = "py"

__all__ = ["IMPL", "Conn", "Core", "accept", "parse_head"]
