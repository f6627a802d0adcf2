"""What belongs together from one configuration to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from monoceros.config import Config
    from monoceros.config.addresses import Address
    from monoceros.workers.application import Source
    from monoceros.workers.base import Worker


class Generation:
    """One configuration with everything that was made from it.

    ``wanted`` is the number of workers, after TTIN and TTOU; ``unmeasured`` while it waits for
    the size of a first one. ``sockets`` are in the order of ``cfg.address``, unless they came from
    systemd. ``surge`` is how many workers may be there beyond ``wanted`` while some are replaced.
    ``chose_asgi`` tells whether its application has made its workers those of the class ``asgi``.
    """

    def __init__(
        self,
        number: int,
        cfg: Config,
        app: Source,
        worker_class: type[Worker],
        wanted: int,
        sockets: list[socket.socket],
        unmeasured: bool = False,
        surge: int = 1,
    ) -> None:
        self.number = number
        self.cfg = cfg
        self.app = app
        self.worker_class = worker_class
        self.wanted = wanted
        self.sockets = sockets
        self.unmeasured = unmeasured
        self.surge = surge
        self.chose_asgi = False

    def renew(self, number: int, app: Source) -> Generation:
        """Return a generation of the same configuration, with its code imported anew."""
        return Generation(
            number,
            self.cfg,
            app,
            self.worker_class,
            self.wanted,
            self.sockets,
            self.unmeasured,
            self.surge,
        )

    @property
    def listeners(self) -> dict[Address, socket.socket]:
        """The sockets by the address that they were asked for."""
        return dict(zip(self.cfg.address, self.sockets, strict=True))
