"""Listening sockets, which are plain sockets here."""

from monoceros.compat.sockets import close_sockets as close_sockets
from monoceros.compat.sockets import create_sockets as create_sockets
