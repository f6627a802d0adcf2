"""Listening sockets, which are plain sockets here."""

from monoceros.compat.sockets import BaseSocket as BaseSocket
from monoceros.compat.sockets import TCP6Socket as TCP6Socket
from monoceros.compat.sockets import TCPSocket as TCPSocket
from monoceros.compat.sockets import UnixSocket as UnixSocket
from monoceros.compat.sockets import close_sockets as close_sockets
from monoceros.compat.sockets import create_sockets as create_sockets
