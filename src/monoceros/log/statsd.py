"""A Logger that tells statsd how many requests there are, how long they take, and what fails."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from monoceros.log.atoms import microseconds, status_code
from monoceros.log.logger import Logger
from monoceros.unpatched import socket as Socket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monoceros.config import Config
    from monoceros.log.protocols import Duration, LoggedRequest, LoggedResponse

    Address = str | tuple[object, ...]


class Statsd(Logger):
    """Sends metrics as datagrams, never waiting; what cannot be sent is dropped.

    Any message may carry a metric as well: ``extra={"metric": name, "value": number, "mtype":
    "gauge", "counter", "timer" or "histogram"}``, which is sent whatever the log's level is.
    """

    _socket: socket.socket | None = None
    _address: Address = ""
    _prefix = ""
    _tags = ""
    _is_failing = False

    def setup(self, cfg: Config) -> None:
        """Take over a configuration; raises ConfigError."""
        super().setup(cfg)
        prefix = cfg.statsd_prefix.rstrip(".")
        self._prefix = f"{prefix}." if prefix else ""
        self._tags = f"|#{cfg.dogstatsd_tags}" if cfg.dogstatsd_tags else ""
        self._is_failing = False
        self._open(cfg.statsd_host)

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log and count what ends the server or a worker."""
        super().critical(msg, *args, **kwargs)
        self.increment("gunicorn.log.critical", 1)
        self._send_extra(kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log and count what failed."""
        super().error(msg, *args, **kwargs)
        self.increment("gunicorn.log.error", 1)
        self._send_extra(kwargs)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log and count what an operator should know."""
        super().warning(msg, *args, **kwargs)
        self.increment("gunicorn.log.warning", 1)
        self._send_extra(kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log and count what failed, with its traceback."""
        super().exception(msg, *args, **kwargs)
        self.increment("gunicorn.log.exception", 1)
        self._send_extra(kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what the server does."""
        super().info(msg, *args, **kwargs)
        self._send_extra(kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Log what helps to find a fault."""
        super().debug(msg, *args, **kwargs)
        self._send_extra(kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        """Log at a level given by number or name."""
        super().log(lvl, msg, *args, **kwargs)
        self._send_extra(kwargs)

    def access(
        self,
        resp: LoggedResponse,
        req: LoggedRequest,
        environ: Mapping[str, object],
        request_time: Duration,
    ) -> None:
        """Log and measure one response; it is measured without an access log too."""
        super().access(resp, req, environ, request_time)
        self.timer("gunicorn.request.duration", microseconds(request_time) / 1000)
        self.increment("gunicorn.requests", 1)
        self.increment(f"gunicorn.request.status.{status_code(resp)}", 1)

    def gauge(self, name: str, value: float) -> None:
        """Send a value that holds until the next one."""
        self._send(f"{name}:{value}|g")

    def increment(self, name: str, value: float, sampling_rate: float = 1.0) -> None:
        """Add to a counter."""
        self._send(f"{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name: str, value: float, sampling_rate: float = 1.0) -> None:
        """Take from a counter."""
        self._send(f"{name}:-{value}|c|@{sampling_rate}")

    def timer(self, name: str, value: float) -> None:
        """Send a duration in milliseconds."""
        self._send(f"{name}:{value}|ms")

    def histogram(self, name: str, value: float) -> None:
        """Send one value of a distribution."""
        self._send(f"{name}:{value}|h")

    def _send_extra(self, kwargs: Mapping[str, Any]) -> None:
        extra = kwargs.get("extra")
        if not extra or "metric" not in extra:
            return
        name, value = extra["metric"], extra.get("value")
        kinds = {
            "gauge": self.gauge,
            "counter": self.increment,
            "timer": self.timer,
            "histogram": self.histogram,
        }
        send = kinds.get(extra.get("mtype"))
        if send is not None and value is not None:
            send(name, value)

    def close(self) -> None:
        """Send nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self, host: str | tuple[str, int] | None) -> None:
        self.close()
        if host is None:
            return
        try:
            family, self._address = _resolve(host)
        except (OSError, UnicodeError) as error:
            super().warning("statsd: no metrics before the next reload: %s: %s", host, error)
            return
        self._socket = Socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def _send(self, metric: str) -> None:
        if self._socket is None:
            return
        packet = f"{self._prefix}{metric}{self._tags}".encode("utf-8", "backslashreplace")
        try:
            # Unconnected: the errors of a statsd that is restarting do not come back, and the
            # path of a socket is looked up each time.
            self._socket.sendto(packet, self._address)
        except OSError as error:
            self._tell(error)
        else:
            self._is_failing = False

    def _tell(self, error: OSError) -> None:
        if not self._is_failing:
            self._is_failing = True
            super().warning("statsd: metrics are lost: %s", error)


def _resolve(host: str | tuple[str, int]) -> tuple[int, Address]:
    if isinstance(host, str):
        return socket.AF_UNIX, host
    found = socket.getaddrinfo(*host, type=socket.SOCK_DGRAM)
    # Where a name means both, IPv4 is what statsd has always listened on.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address
