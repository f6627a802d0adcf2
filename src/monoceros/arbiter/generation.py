"""What belongs together from one configuration to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from monoceros.config import Config
    from monoceros.net.listeners import Address
    from monoceros.workers.application import Application
    from monoceros.workers.base import Worker


@dataclass(slots=True)
class Generation:
    """One configuration with everything that was made from it.

    ``sockets`` are in the order of ``cfg.address``.
    """

    number: int
    cfg: Config
    app: Application
    worker_class: type[Worker]
    wanted: int  # how many workers, after TTIN and TTOU
    sockets: list[socket.socket]
    unmeasured: bool = False  # the number of workers waits for the size of a first one

    @property
    def listeners(self) -> dict[Address, socket.socket]:
        """The sockets by the address that they were asked for."""
        return dict(zip(self.cfg.address, self.sockets, strict=True))
