"""Where the configuration and the application are."""

from monoceros.config.kinds import OPTIONAL_TEXT, SWITCH, TEXT, TEXT_LIST, choice
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
        "the command line names none. Without either, the usual places are searched.",
    )
    compat = Setting(
        choice("monoceros", "gunicorn"),
        "monoceros",
        "Whose defaults are in force. Under `gunicorn` every default, the process titles, the "
        "`Server` field and the first line of the log are Gunicorn's; settings that are given "
        "hold in both. The default follows the name of the command.",
        cli=("--compat",),
        meta="NAME",
        gunicorn="gunicorn",
        ours=True,
    )


class Debugging(Section):
    """Settings for development, and for looking at the configuration instead of serving."""

    __slots__ = ()
    title = "Debugging"

    reload = Setting(
        SWITCH,
        False,
        "Replace the workers when a file of the application changes. A broken change is logged "
        "and answered with its traceback until the next one mends it. For development.",
        cli=("--reload",),
    )
    reload_engine = Setting(
        choice("auto", "poll", "inotify"),
        "auto",
        "How changes are noticed: `poll` looks at the files again and again, `inotify` asks the "
        "system by the package watchfiles, `auto` does so where that package is installed.",
        cli=("--reload-engine",),
        meta="NAME",
    )
    reload_extra_files = Setting(
        TEXT_LIST,
        [],
        "Files and patterns such as `templates/*.html` that `reload` watches too, relative to "
        "the directory the server is started from. The command line option may be repeated.",
        cli=("--reload-extra-file",),
        meta="FILE",
    )
    spew = Setting(
        SWITCH,
        False,
        "Print every line of Python that a worker executes. Very slow.",
        cli=("--spew",),
    )
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
    print_format = Setting(
        choice("text", "json"),
        "text",
        "The form of what `print_config` prints: lines, or one object that has the value and the "
        "origin of each setting.",
        cli=("--format",),
        meta="NAME",
        ours=True,
    )
