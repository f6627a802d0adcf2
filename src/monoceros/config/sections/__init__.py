"""The settings, one module for each group of documented sections."""

from monoceros.config.sections.general import ConfigFile, Debugging
from monoceros.config.sections.limits import Security, SlowClients
from monoceros.config.sections.logs import Logging
from monoceros.config.sections.mechanics import ProcessNaming, ServerMechanics
from monoceros.config.sections.processes import WorkerProcesses
from monoceros.config.sections.requests import Leniency, Proxies
from monoceros.config.sections.server_hooks import ServerHooks
from monoceros.config.sections.sockets import ServerSocket
from monoceros.config.setting import Section, Setting

SECTIONS: tuple[type[Section], ...] = (
    ConfigFile,
    ServerSocket,
    WorkerProcesses,
    Security,
    SlowClients,
    Proxies,
    Leniency,
    Logging,
    ServerMechanics,
    ProcessNaming,
    Debugging,
    ServerHooks,
)

SETTINGS: tuple[Setting[object], ...] = tuple(
    record
    for section in SECTIONS
    for record in vars(section).values()
    if isinstance(record, Setting)
)

__all__ = [
    "SECTIONS",
    "SETTINGS",
    "ConfigFile",
    "Debugging",
    "Leniency",
    "Logging",
    "ProcessNaming",
    "Proxies",
    "Security",
    "ServerHooks",
    "ServerMechanics",
    "ServerSocket",
    "SlowClients",
    "WorkerProcesses",
]
