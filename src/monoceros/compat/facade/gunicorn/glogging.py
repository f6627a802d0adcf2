"""The logger that logger classes derive from."""

from logging.handlers import SysLogHandler

from monoceros.log.defaults import CONFIG_DEFAULTS as CONFIG_DEFAULTS
from monoceros.log.logger import Logger as Logger
from monoceros.log.logger import SafeAtoms as SafeAtoms

SYSLOG_FACILITIES: dict[str, int] = dict(SysLogHandler.facility_names)
