"""The command line, built from the setting records."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from monoceros.config.sections import SETTINGS
from monoceros.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monoceros.config.setting import Setting

USAGE_ERROR = 2

# How alike an option is to what was meant: to one of those that it begins, and to any.
_NEARLY_WHOLE = 0.85
_LIKE = 0.7

# Options that Gunicorn does not have, and whose names may begin like one that people shorten.
_OURS = frozenset({"--help-all", *(flag for one in SETTINGS if one.ours for flag in one.cli)})


class Arguments(NamedTuple):
    """What a command line says: the application, and settings as they were written."""

    app_uri: str | None
    values: dict[str, object]


class InformationRequested(Exception):
    """The command line asks for ``help``, ``help-all`` or ``version`` instead of serving."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def parse_arguments(argv: Sequence[str], prog: str) -> Arguments:
    """Take a command line apart.

    A wrong option ends the process with a message and 2; raises InformationRequested.
    """
    parser = build_parser(prog)
    values = vars(parser.parse_args(argv))
    positional = values.pop("args")
    return Arguments(positional[0] if positional else None, values)


class Parser(argparse.ArgumentParser):
    """A parser that names the option that was probably meant, and knows shortened ones."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse the arguments, by default those of the process."""
        argv = sys.argv[1:] if args is None else args
        return super().parse_known_args(expand(argv, _options(self)), namespace)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit with 2."""
        _, unknown, rest = message.partition("unrecognized arguments: ")
        hint = _guess(rest.split()[0].partition("=")[0], _options(self)) if unknown else ""
        command = self.prog.partition(" ")[0]  # what follows says where the options come from
        self.exit(
            USAGE_ERROR,
            f"{self.prog}: error: {message}{hint}\n"
            f"'{command} --help' lists the usual options, '--help-all' all of them.\n",
        )


def _guess(word: str, options: Sequence[str]) -> str:
    begun = sorted(one for one in options if one.startswith(word))
    likely = closest(word, begun, _NEARLY_WHOLE) if begun else closest(word, options, _LIKE)
    if likely:
        return f" (did you mean {likely}?)"
    return f" (which of {', '.join(begun)}?)" if begun else ""


class _Formatter(argparse.HelpFormatter):
    """Made for each option to check it, and so does not ask the terminal for its width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80)


def build_parser(prog: str) -> argparse.ArgumentParser:
    """Return a parser with one option for each setting that has any, and the application."""
    parser = Parser(
        prog=prog,
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=_Formatter,
    )
    parser.add_argument("args", nargs="*", default=[])
    for flags in (("-h", "--help"), ("--help-all",), ("-v", "--version")):
        parser.add_argument(*flags, action=_Inform, nargs=0)
    for record in SETTINGS:
        if record.cli:
            _add_option(parser, record)
    return parser


def expand(argv: Sequence[str], options: Iterable[str]) -> list[str]:
    """Write out long options that are shortened to an unmistakable beginning.

    What is unmistakable among Gunicorn's options stays so, whatever other options there are.
    """
    known = set(options)
    return [_expand_one(word, known) if word.startswith("--") else word for word in argv]


def _expand_one(word: str, known: set[str]) -> str:
    name, equals, value = word.partition("=")
    if name in known or name == "--":
        return word
    candidates = [one for one in known if one.startswith(name)]
    theirs = [one for one in candidates if one not in _OURS]
    found = theirs if theirs else candidates
    return f"{found[0]}{equals}{value}" if len(found) == 1 else word


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]


class _Inform(argparse.Action):
    def __call__(self, *_: object) -> NoReturn:
        raise InformationRequested(self.option_strings[-1].removeprefix("--"))


def _add_option(parser: argparse.ArgumentParser, setting: Setting[object]) -> None:
    kind = setting.kind
    if kind.flag:
        const: object = kind.bare if kind.bare else not setting.default
        parser.add_argument(*setting.cli, dest=setting.name, action="store_const", const=const)
    elif kind.bare:
        parser.add_argument(*setting.cli, dest=setting.name, nargs="?", const=kind.bare)
    else:
        action = "append" if kind.repeated else "store"
        parser.add_argument(*setting.cli, dest=setting.name, action=action)
