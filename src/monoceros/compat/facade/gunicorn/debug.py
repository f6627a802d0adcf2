"""Printing every line that is executed."""

from monoceros.compat.tracing import spew as spew
from monoceros.compat.tracing import unspew as unspew
