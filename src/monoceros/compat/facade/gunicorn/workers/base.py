"""The base of worker classes."""

from monoceros.workers.base import Worker as Worker
