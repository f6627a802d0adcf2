"""The logger that tells statsd."""

from monoceros.log.statsd import Statsd as Statsd
