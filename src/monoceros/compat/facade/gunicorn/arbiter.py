"""The parent process of all workers."""

from monoceros.arbiter.loop import Arbiter as Arbiter
