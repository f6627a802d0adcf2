"""Where the configuration and the application are."""

from monoceros.config.kinds import OPTIONAL_TEXT, SWITCH, TEXT
from monoceros.config.setting import Section, Setting


class ConfigFile(Section):
    """Settings that say what to read and what to serve."""

    __slots__ = ()
    title = "Config File"

    config = Setting(
        TEXT,
        "./gunicorn.conf.py",
        "The configuration file: `PATH`, `file:PATH` or `python:MODULE`. The default is read "
        "where it exists in the directory the server is started from. Has no effect inside a "
        "configuration file.",
        cli=("-c", "--config"),
        meta="CONFIG",
    )
    wsgi_app = Setting(
        OPTIONAL_TEXT,
        None,
        "The application, as `MODULE`, `MODULE:NAME` or `MODULE:FACTORY(ARGUMENTS)`, for when "
        "the command line names none.",
    )


class Debugging(Section):
    """Settings that look at the configuration instead of serving."""

    __slots__ = ()
    title = "Debugging"

    check_config = Setting(
        SWITCH,
        False,
        "Read the configuration, import the application and exit: 0 where both work, else 1.",
        cli=("--check-config",),
    )
    print_config = Setting(
        SWITCH,
        False,
        "Print every setting with its value and where it was set, then act as `check_config`.",
        cli=("--print-config",),
    )
