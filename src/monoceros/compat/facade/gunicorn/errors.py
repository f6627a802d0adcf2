"""What the server raises, and what hooks raise to end it."""

from monoceros.errors import AppImportError as AppImportError
from monoceros.errors import ConfigError as ConfigError
from monoceros.errors import HaltServer as HaltServer
