"""The process: its directory, environment, rights and files."""

from monoceros.config.kinds import (
    ASSIGNMENTS,
    GROUP,
    OPTIONAL_TEXT,
    SWITCH,
    TEXT,
    TEXT_LIST,
    UMASK,
    USER,
)
from monoceros.config.setting import Env, Kind, Section, Setting


class ServerMechanics(Section):
    """Settings of the processes themselves."""

    __slots__ = ()
    title = "Server Mechanics"

    preload_app = Setting(
        SWITCH,
        False,
        "Import the application once, before the workers are forked. Saves memory and start-up "
        "time; a reload then keeps the code that was imported.",
        cli=("--preload",),
    )
    sendfile = Setting(
        SWITCH,
        True,
        "Whether files are sent with sendfile(2). The environment variable `SENDFILE` replaces "
        "the default.",
        cli=("--no-sendfile",),
        env=Env("SENDFILE"),
    )
    chdir = Setting(
        Kind(TEXT.parse, "an existing directory"),
        ".",
        "The directory to change to before the application is imported; it also comes first on "
        "the module search path, after `pythonpath` only. Relative to the directory the server is "
        "started from, which is the default.",
        cli=("--chdir",),
        meta="DIRECTORY",
    )
    pythonpath = Setting(
        OPTIONAL_TEXT,
        None,
        "Directories, separated by commas, to put first on the module search path before the "
        "application is imported, the last one foremost. Relative to `chdir`.",
        cli=("--pythonpath",),
        meta="DIRECTORIES",
    )
    daemon = Setting(
        SWITCH,
        False,
        "Detach from the terminal and serve in the background.",
        cli=("-D", "--daemon"),
    )
    raw_env = Setting(
        ASSIGNMENTS,
        [],
        "Environment variables for the application. The command line option may be repeated.",
        cli=("-e", "--env"),
        meta="NAME=VALUE",
    )
    pidfile = Setting(
        OPTIONAL_TEXT,
        None,
        "A file to keep the process id of the master in.",
        cli=("-p", "--pid"),
        meta="FILE",
    )
    user = Setting(
        USER,
        None,
        "The user that workers run as, by name or id; the default is the user who starts the "
        "server.",
        cli=("-u", "--user"),
        meta="USER",
    )
    group = Setting(
        GROUP,
        None,
        "The group that workers run as, by name or id; the default is the group of who starts "
        "the server.",
        cli=("-g", "--group"),
        meta="GROUP",
    )
    initgroups = Setting(
        SWITCH,
        False,
        "Give workers all groups of `user`, instead of `group` alone.",
        cli=("--initgroups",),
    )
    umask = Setting(
        UMASK,
        0,
        "The file mode creation mask for unix sockets, a set of permission bits. A leading zero "
        "makes text octal.",
        cli=("-m", "--umask"),
        meta="MODE",
    )
    worker_tmp_dir = Setting(
        OPTIONAL_TEXT,
        None,
        "Accepted for Gunicorn's sake, and remarked in the log: there a file in this directory "
        "holds the workers' signs of life, which are in shared memory here and need no file.",
        cli=("--worker-tmp-dir",),
        meta="DIRECTORY",
    )
    tmp_upload_dir = Setting(
        Kind(OPTIONAL_TEXT.parse, "an existing directory or None"),
        None,
        "The directory of the unnamed temporary files that hold large request bodies; the "
        "default is the system's.",
    )
    paste = Setting(
        OPTIONAL_TEXT,
        None,
        "A PasteDeploy file to load the application from, as `FILE` or `FILE#NAME`.",
        cli=("--paste", "--paster"),
        meta="FILE",
    )
    raw_paste_global_conf = Setting(
        TEXT_LIST,
        [],
        "Values for the PasteDeploy file, as `KEY=VALUE`; `\\=` stands for an equals sign in a "
        "key. The command line option may be repeated.",
        cli=("--paste-global",),
        meta="KEY=VALUE",
    )


class ProcessNaming(Section):
    """How the processes show in a process list."""

    __slots__ = ()
    title = "Process Naming"

    proc_name = Setting(
        OPTIONAL_TEXT,
        None,
        "The name in the process titles; the default is `default_proc_name`.",
        cli=("-n", "--name"),
        meta="NAME",
    )
    default_proc_name = Setting(
        OPTIONAL_TEXT,
        None,
        "The name in the process titles where `proc_name` is not set; the default is what the "
        "application is called on the command line.",
    )
