"""Programs that host the server: the application classes that others subclass.

Theory of operation. An application object makes a configuration that can be changed, has it filled
by ``load_config``, and runs an arbiter, which asks it for the read-only configuration that is made
of it. Workers ask the object for what they serve: ``wsgi`` calls ``load`` once in each process. At
a reload the same object fills a new configuration in the same way.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn, cast

from monoceros.errors import ConfigError, MonocerosError
from monoceros.workers.application import Application as Loader
from monoceros.workers.application import check_app, find_wanted

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Mapping

    from monoceros.arbiter.loop import Arbiter
    from monoceros.compat.settings import EditableConfig
    from monoceros.config import Config


class BaseApplication:
    """Serves what ``load`` returns, with the settings that ``load_config`` makes."""

    cfg: EditableConfig

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        """Load the configuration; a wrong one ends the process with 1."""
        self.usage = usage
        self.prog = prog
        self.callable: Callable[..., Any] | None = None
        self.logger: object = None
        self._frozen: Config | None = None
        self.do_load_config()

    # -- the configuration

    def do_load_config(self) -> None:
        """Begin a configuration and have it filled; a wrong one ends the process with 1."""
        try:
            self.load_default_config()
            self.load_config()
        except Exception as error:  # the border around a program's own settings
            self._give_up(error)

    def load_default_config(self) -> None:
        """Begin with a configuration in which nothing is set."""
        from monoceros.compat.settings import EditableConfig

        self.cfg = EditableConfig(self.usage, prog=self.prog)
        self._frozen = None

    def load_config(self) -> None:
        """Fill ``cfg``; for subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has to say how it is configured")

    def init(self, parser: ArgumentParser, opts: Namespace, args: list[str]) -> Any:
        """Return settings by name, or None, once the command line was read; for subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has no init")

    def reload(self) -> None:
        """Fill a configuration anew."""
        self.do_load_config()

    def configuration(self) -> Config:
        """Return the read-only configuration for the arbiter, and enter its surroundings.

        Raises ConfigError.
        """
        if self._frozen is None:
            from monoceros import hosting

            self._frozen = self._freeze()
            hosting.prepare(self._frozen)
        return self._frozen

    def again(self, cfg: Config) -> BaseApplication:
        """Return this object, which has the next configuration already."""
        return self

    def _freeze(self) -> Config:
        return self.cfg.freeze(self._configure_again)

    def _configure_again(self) -> Config:
        before = self.cfg, self._frozen
        try:
            self.reload()
            self._frozen = self._freeze()
        except BaseException:
            self.cfg, self._frozen = before
            raise
        return self._frozen

    # -- the application

    def load(self) -> Any:
        """Return the application; for subclasses."""
        raise NotImplementedError(f"{type(self).__name__} has to say what is served")

    def wsgi(self) -> Callable[..., Any]:
        """Return the application, the same at every call; raises whatever ``load`` raises."""
        if self.callable is None:
            name = f"{type(self).__name__}.load()"
            wanted = find_wanted(self._frozen or self._freeze())
            self.callable = check_app(self.load(), name, wanted)
        return self.callable

    # -- the server

    def run(self) -> None:
        """Serve until told to stop, then exit the process.

        Only looks at configuration and application where a setting asks for that.
        """
        try:
            if self.cfg.check_config or self.cfg.print_config:
                sys.exit(self._look())
            self._serve()
        except (MonocerosError, RuntimeError) as error:
            self._give_up(error)

    def _look(self) -> int:
        from monoceros import information

        cfg = self.configuration()
        if cfg.print_config:
            information.show(cfg)
        return information.check(cfg, self)

    def _serve(self) -> NoReturn:
        # Late, so that a wrong configuration is told without waiting for the whole server.
        cfg = self.configuration()
        if cfg.daemon:
            from monoceros.arbiter.daemon import detach

            detach(cfg)
        self._make_arbiter().run()

    def _make_arbiter(self) -> Arbiter:
        from monoceros.arbiter.loop import Arbiter

        return Arbiter(self)

    def _give_up(self, error: Exception) -> NoReturn:
        from monoceros.config.commandline import InformationRequested

        if isinstance(error, InformationRequested):
            from monoceros import information

            information.tell(information.inform(error.what, self.cfg.prog))
            sys.exit(0)
        if not isinstance(error, MonocerosError | NotImplementedError):
            import traceback

            traceback.print_exc()
        print(f"\nError: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


class Application(BaseApplication):
    """Takes its settings from command line, configuration file and environment, too."""

    def init(self, parser: ArgumentParser, opts: Namespace, args: list[str]) -> Any:
        """Return settings by name that everything else goes before; none here."""
        return None

    def load_config(self) -> None:
        """Read command line, GUNICORN_CMD_ARGS and configuration file, in falling order."""
        from monoceros.config import sources
        from monoceros.config.commandline import Arguments

        parser = self.cfg.parser()
        opts = parser.parse_args()
        framework = self.init(parser, opts, opts.args)
        values = {
            name: value
            for name, value in vars(opts).items()
            if value is not None and name in self.cfg.settings
        }
        arguments = Arguments(opts.args[0] if opts.args else None, values)
        cfg = self.cfg
        self.cfg.take(sources.collect(arguments, cfg.environ, cfg.cwd, cfg.prog, framework))

    def chdir(self) -> None:
        """Change to the directory of the setting, and have modules be found there."""
        os.chdir(self.cfg.chdir)
        if self.cfg.chdir not in sys.path:
            sys.path.insert(0, self.cfg.chdir)

    def get_config_from_filename(self, filename: str) -> Mapping[str, Any]:
        """Run a configuration file and return its variables; raises ConfigError."""
        from monoceros.config import file

        return file.read(filename, self.cfg.cwd).values

    def get_config_from_module_name(self, module_name: str) -> Mapping[str, Any]:
        """Import a module and return its variables; raises ConfigError."""
        return self.get_config_from_filename(f"python:{module_name}")

    def load_config_from_module_name_or_filename(self, location: str) -> Mapping[str, Any]:
        """Set what a configuration file has, and return its variables; raises ConfigError."""
        from monoceros.config import file, sources

        variables = file.read(location, self.cfg.cwd)
        self.cfg.take(sources.Collected(sources.from_file(variables)))
        return variables.values

    def load_config_from_file(self, filename: str) -> Mapping[str, Any]:
        """Set what a configuration file has, and return its variables; raises ConfigError."""
        return self.load_config_from_module_name_or_filename(filename)


class WSGIApplication(Application):
    """The command: serves the application that the command line names."""

    app_uri: str | None = None

    def init(self, parser: ArgumentParser, opts: Namespace, args: list[str]) -> Any:
        """Take the application from the command line."""
        self.app_uri = opts.args[0] if opts.args else None
        return None

    def load_config(self) -> None:
        """Read the configuration and find the application; raises ConfigError."""
        super().load_config()
        self.app_uri = self.app_uri or self.cfg.wsgi_app

    def load_wsgiapp(self) -> Callable[..., Any]:
        """Import the application."""
        return self._loader.wsgi()

    def load_pasteapp(self) -> Callable[..., Any]:
        """Have PasteDeploy make the application."""
        return self._loader.wsgi()

    def load(self) -> Any:
        """Import the application, or have PasteDeploy make it."""
        return self.load_pasteapp() if self.cfg.paste else self.load_wsgiapp()

    def _freeze(self) -> Config:
        cfg = self.cfg.freeze(self._configure_again, self.app_uri, hosted=False)
        if cfg.app_uri is None:
            from monoceros import information

            raise ConfigError(information.complain(cfg, self.cfg.prog))
        return cfg

    @property
    def _loader(self) -> Loader:
        return Loader(self._frozen or self._freeze())


class CommandApplication(Application):
    """What the command serves where somebody may look for it under Gunicorn's names."""

    def __init__(self, cfg: Config) -> None:
        self.usage = self.prog = self.logger = None
        self.callable = None
        self._frozen = cfg
        self.cfg = cast("EditableConfig", cfg)  # to be read only

    def configuration(self) -> Config:
        """Return the configuration that it was made for."""
        return self.cfg

    def again(self, cfg: Config) -> CommandApplication:
        """Return the application of the next configuration, to be imported anew."""
        return CommandApplication(cfg)

    def load(self) -> Any:
        """Import the application."""
        return Loader(self.cfg).wsgi()

    def _freeze(self) -> Config:
        return self.cfg
