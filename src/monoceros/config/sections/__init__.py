"""The settings, one module for each group of documented sections."""

from monoceros.config.sections.asgi import Asgi
from monoceros.config.sections.general import ConfigFile, Debugging
from monoceros.config.sections.later import Control, DirtyArbiters, Http2, Protocols, Tls
from monoceros.config.sections.limits import Overload, Security, SlowClients
from monoceros.config.sections.logs import Logging, Metrics
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
    Overload,
    SlowClients,
    Proxies,
    Leniency,
    Logging,
    Metrics,
    ServerMechanics,
    ProcessNaming,
    Debugging,
    ServerHooks,
    Protocols,
    Tls,
    Http2,
    Asgi,
    DirtyArbiters,
    Control,
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
    "Asgi",
    "ConfigFile",
    "Control",
    "Debugging",
    "DirtyArbiters",
    "Http2",
    "Leniency",
    "Logging",
    "Metrics",
    "Overload",
    "ProcessNaming",
    "Protocols",
    "Proxies",
    "Security",
    "ServerHooks",
    "ServerMechanics",
    "ServerSocket",
    "SlowClients",
    "Tls",
    "WorkerProcesses",
]
