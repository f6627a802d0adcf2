"""What is logged, and where."""

from monoceros.config.kinds import OPTIONAL_TEXT, TEXT, choice
from monoceros.config.setting import Section, Setting


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
        "The form of a line in the access log.",
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
        choice("debug", "info", "warning", "error", "critical"),
        "info",
        "The least severe messages that the error log takes.",
        cli=("--log-level",),
        meta="LEVEL",
    )
