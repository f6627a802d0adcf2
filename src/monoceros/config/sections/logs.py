"""What is logged, and where."""

import sys

from monoceros.config.kinds import (
    MAPPING,
    OPTIONAL_TEXT,
    STATSD_ADDRESS,
    SWITCH,
    TEXT,
    TEXT_LIST,
    choice,
)
from monoceros.config.references import ClassSetting
from monoceros.config.setting import Section, Setting

_LOGGER = "gunicorn.glogging.Logger"
_LOGGERS = {
    _LOGGER: "monoceros.log.logger.Logger",
    "simple": "monoceros.log.logger.Logger",
    "egg:gunicorn#simple": "monoceros.log.logger.Logger",
    "gunicorn.instrument.statsd.Statsd": "monoceros.log.statsd.Statsd",
    "egg:gunicorn#statsd": "monoceros.log.statsd.Statsd",
}
_SYSLOG = "unix:///var/run/syslog" if sys.platform == "darwin" else "udp://localhost:514"


class Logging(Section):
    """Settings of the error log and the access log."""

    __slots__ = ()
    title = "Logging"

    accesslog = Setting(
        OPTIONAL_TEXT,
        None,
        "The file of the access log; `-` is the standard output, and without a value there is "
        "no access log.",
        cli=("--access-logfile",),
        meta="FILE",
    )
    access_log_format = Setting(
        TEXT,
        '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
        "The form of a line in the access log, of Gunicorn's atoms such as `%(h)s`, `%(r)s`, "
        "`%({x-request-id}i)s`; or `json` for an object per line.",
        cli=("--access-logformat",),
        meta="FORMAT",
    )
    errorlog = Setting(
        TEXT,
        "-",
        "The file of the error log; `-` is the standard error output.",
        cli=("--error-logfile", "--log-file"),
        meta="FILE",
    )
    loglevel = Setting(
        choice(
            "debug",
            "info",
            "warning",
            "error",
            "critical",
            also={"warn": "warning", "fatal": "critical", "": "info"},
        ),
        "info",
        "The least severe messages that the error log takes.",
        cli=("--log-level",),
        meta="LEVEL",
    )
    log_format = Setting(
        choice("text", "json"),
        "text",
        "The form of both logs: lines of text, or an object per line. `access_log_format` is "
        "`json` then where it is not set.",
        cli=("--log-format",),
        meta="NAME",
        ours=True,
    )
    access_log_skip = Setting(
        TEXT_LIST,
        [],
        "Request paths that are left out of the access log as long as the answer is below 400, "
        "such as those of probes; a `*` at the end stands for all paths that begin so. The "
        "command line option may be repeated.",
        cli=("--access-log-skip",),
        meta="PATH",
        ours=True,
    )
    capture_output = Setting(
        SWITCH,
        False,
        "Send what the processes print to the error log, where that is a file.",
        cli=("--capture-output",),
    )
    logger_class = ClassSetting(
        _LOGGERS,
        _LOGGER,
        "The class of the logger: a subclass of `monoceros.log.logger.Logger`, by name or, in a "
        "file, as it is.",
        cli=("--logger-class",),
        group="gunicorn.loggers",
        method="access",
    )
    logconfig = Setting(
        OPTIONAL_TEXT,
        None,
        "A file for logging.config.fileConfig.",
        cli=("--log-config",),
        meta="FILE",
    )
    logconfig_dict = Setting(
        MAPPING,
        {},
        "A dict for logging.config.dictConfig; it wins over `logconfig_json` and `logconfig`. "
        "What it leaves out is as in `monoceros.log.logger.CONFIG_DEFAULTS`.",
    )
    logconfig_json = Setting(
        OPTIONAL_TEXT,
        None,
        "A JSON file for logging.config.dictConfig; it wins over `logconfig`.",
        cli=("--log-config-json",),
        meta="FILE",
    )
    syslog = Setting(
        SWITCH,
        False,
        "Send both logs to syslog too.",
        cli=("--log-syslog",),
    )
    syslog_addr = Setting(
        TEXT,
        _SYSLOG,
        "Where syslog listens: `udp://HOST:PORT`, `tcp://HOST:PORT` or `unix://PATH`, the last "
        "one with `#dgram` or `#stream` at its end where it matters.",
        cli=("--log-syslog-to",),
        meta="ADDRESS",
    )
    syslog_prefix = Setting(
        OPTIONAL_TEXT,
        None,
        "The middle of the program name in syslog, `gunicorn.PREFIX.error`; the default is "
        "`proc_name`.",
        cli=("--log-syslog-prefix",),
        meta="PREFIX",
    )
    syslog_facility = Setting(
        TEXT,
        "user",
        "The syslog facility.",
        cli=("--log-syslog-facility",),
        meta="NAME",
    )
    disable_redirect_access_to_syslog = Setting(
        SWITCH,
        False,
        "Keep the access log out of syslog.",
        cli=("--disable-redirect-access-to-syslog",),
    )
    enable_stdio_inheritance = Setting(
        SWITCH,
        False,
        "Keep the standard output and error output under `daemon`, where they are no terminal.",
        cli=("-R", "--enable-stdio-inheritance"),
    )


class Metrics(Section):
    """Settings of what is told to statsd."""

    __slots__ = ()
    title = "Metrics"

    statsd_host = Setting(
        STATSD_ADDRESS,
        None,
        "Where statsd listens: `HOST:PORT` (UDP) or `unix://PATH`.",
        cli=("--statsd-host",),
        meta="ADDRESS",
    )
    statsd_prefix = Setting(
        TEXT,
        "",
        "What the names of all metrics begin with.",
        cli=("--statsd-prefix",),
        meta="PREFIX",
    )
    dogstatsd_tags = Setting(
        TEXT,
        "",
        "Tags for all metrics, separated by commas, in the form of DogStatsD.",
        cli=("--dogstatsd-tags",),
        meta="TAGS",
    )
    enable_backlog_metric = Setting(
        SWITCH,
        False,
        "Report once a second how many connections wait to be accepted (Linux).",
        cli=("--enable-backlog-metric",),
    )
