"""When a request came: what the kernel and a proxy know about it.

Nobody in this process has seen a request that waits in a listener's queue, or in a socket that was
not looked at while the application was at work. Linux tells for TCP how long ago the last octets
came. A proxy tells in X-Request-Start when it took the request on, by its own clock:
``t=1700000000.123`` (nginx's ``t=${msec}``), ``t=1700000000123456`` (Apache's ``t=%t``) and
``1700000000123`` (Heroku's router) are all in use.
"""

from __future__ import annotations

import re
import socket
import sys

from monoceros.unpatched import socket as Socket

# Past it a clock is wrong, more likely than that a proxy has held a request for so long.
LONGEST_S = 600.0
_START = re.compile(r"(?:t=)?([0-9]{1,20}(?:\.[0-9]{0,9})?)")
# A number in the next unit would be a time some thousand years from now.
_UNITS = ((1e11, 1.0), (1e14, 1e-3), (1e17, 1e-6))
_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_LAST_DATA_RECV = 52  # tcpi_last_data_recv in struct tcp_info of linux/tcp.h: milliseconds
_END = _LAST_DATA_RECV + 4


def waited_before(text: str, now: float) -> float:
    """Return for how many seconds a request has been on its way by its X-Request-Start.

    ``now`` is ``time.time()``. What makes no sense and what is in the future says nothing: 0. Of
    several values the last one counts, which the nearest proxy has added.
    """
    found = _START.fullmatch(text.rpartition(",")[2].strip(" \t"))
    if found is None:
        return 0.0
    number = float(found[1])
    for bound, unit in _UNITS:
        if number < bound:
            waited = now - number * unit
            return waited if 0 < waited <= LONGEST_S else 0.0
    return 0.0


def unread_for(fd: int) -> float:
    """Return how many seconds ago the last octets came on a TCP socket; 0 where nobody knows."""
    if _TCP_INFO is None:
        return 0.0
    # Given all three, the constructor asks the kernel for none of them; they are not used.
    with Socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, fd) as client:
        try:
            info = client.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _END)
        except OSError:
            return 0.0
        finally:
            client.detach()
    if len(info) < _END:
        return 0.0
    return int.from_bytes(info[_LAST_DATA_RECV:], sys.byteorder) / 1000
