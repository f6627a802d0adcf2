"""Configuration: settings as records, read from files, variables and the command line."""

from monoceros.config.config import Config
from monoceros.config.sources import load

__all__ = ["Config", "load"]
