"""From an accepted head to the environ of its request."""

from monoceros.http._core cimport Core

cdef dict build_environ(Core core, dict template, bint trusted, bint unix)
