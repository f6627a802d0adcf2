"""What ``--help`` and ``--help-all`` print."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from monoceros.config.listing import format_default
from monoceros.config.sections import SECTIONS, SETTINGS
from monoceros.identity import GUNICORN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monoceros.config.setting import Section, Setting

_WIDTH = 96
_INDENT = " " * 6

# What most command lines are made of, in words short enough for one line.
_USUAL = {
    "bind": "listen there: HOST:PORT, :PORT, unix:PATH; may be repeated",
    "workers": "the number of worker processes, or auto",
    "worker_class": "the kind of worker",
    "timeout": "after how long a silent worker is replaced",
    "graceful_timeout": "how long requests may take to finish on a stop",
    "max_requests": "replace a worker after so many requests",
    "accesslog": "the access log; - is the standard output",
    "errorlog": "the error log; - is the standard error output",
    "log_format": "text or json, for both logs",
    "loglevel": "debug, info, warning, error or critical",
    "config": "the configuration file; default: ./gunicorn.conf.py",
    "raw_env": "set an environment variable; may be repeated",
    "chdir": "change to this directory first",
    "preload_app": "import the application once, before forking",
    "reload": "replace the workers when code changes",
    "daemon": "serve in the background",
    "pidfile": "write the process id there",
    "check_config": "load configuration and application, and exit",
    "print_config": "print all settings and where they were set, and exit",
}

EXAMPLES = """\
  {prog} myproject.wsgi                              a Django project
  {prog} -w 4 -b 0.0.0.0:8000 'hello:create_app()'   an application factory
  {prog} -c gunicorn.conf.py --access-logfile -      settings and application from a file"""


def format_help(prog: str) -> str:
    """Return the usual options on one screen."""
    lines = [
        f"Usage: {prog} [OPTIONS] [MODULE | MODULE:NAME | 'MODULE:FACTORY(ARGUMENTS)']",
        "",
        "Serves a WSGI application. Without a name it is looked for in the usual places.",
        "",
        EXAMPLES.format(prog=prog),
        "",
    ]
    by_name = {record.name: record for record in SETTINGS}
    lines += [f"  {_flags(by_name[name]):<33} {text}" for name, text in _USUAL.items()]
    lines += ["", "  --help-all                        all options, with their defaults"]
    lines += ["  -v, --version                     the version, and which HTTP code runs"]
    if prog != GUNICORN:
        lines += ["", f"{prog} gunicorn-command status tells who answers to the name gunicorn."]
    return "\n".join(lines)


def format_full_help(prog: str) -> str:
    """Return all options by section, with the defaults under this name."""
    head = f"Usage: {prog} [OPTIONS] [MODULE | MODULE:NAME | 'MODULE:FACTORY(ARGUMENTS)']"
    return "\n".join([head, *(line for section in SECTIONS for line in _section(section, prog))])


def _section(section: type[Section], compat: str) -> Iterator[str]:
    records = [one for one in SETTINGS if one.section == section.title and one.cli]
    if not records:
        return
    yield f"\n{section.title}: {(section.__doc__ or '').strip()}"
    for record in records:
        yield f"\n  {_flags(record)}"
        text = (
            f"{record.doc} [{record.name}; default: {format_default(record.default_under(compat))}]"
        )
        yield textwrap.fill(
            text.replace("`", ""),
            _WIDTH,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT,
            break_on_hyphens=False,
        )


def _flags(setting: Setting[object]) -> str:
    if setting.kind.flag:
        return ", ".join(setting.cli)
    value = f"[{setting.meta}]" if setting.kind.bare else setting.meta
    return f"{', '.join(setting.cli)} {value}"
