"""The file with the process id."""

from monoceros.compat.pidfile import Pidfile as Pidfile
