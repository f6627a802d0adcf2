"""The command line, built from the setting records."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monoceros.config.listing import format_default
from monoceros.config.sections import SECTIONS, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monoceros.config.setting import Setting


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a command line says: the application, and settings as they were written."""

    app_uri: str | None
    values: dict[str, object]


def build_parser(prog: str) -> argparse.ArgumentParser:
    """Return a parser with one option for each setting that has any, and the application."""
    parser = argparse.ArgumentParser(
        prog=prog, usage="%(prog)s [OPTIONS] [APP_MODULE]", argument_default=argparse.SUPPRESS
    )
    parser.add_argument("args", nargs="*", default=[], metavar="APP_MODULE", help=_APP_HELP)
    for section in SECTIONS:
        records = [one for one in SETTINGS if one.section == section.title and one.cli]
        if records:
            group = parser.add_argument_group(section.title)
            for record in records:
                _add_option(group, record)
    return parser


_APP_HELP = "the application: MODULE, MODULE:NAME or MODULE:FACTORY(ARGUMENTS)"


def parse_arguments(argv: Sequence[str], prog: str) -> Arguments:
    """Take a command line apart; a wrong option ends the process with a usage message and 2."""
    values = vars(build_parser(prog).parse_args(argv))
    positional = values.pop("args")
    return Arguments(positional[0] if positional else None, values)


def _add_option(group: argparse._ArgumentGroup, setting: Setting[object]) -> None:
    text = setting.doc.replace("`", "").replace("%", "%%")
    if setting.kind.flag:
        group.add_argument(
            *setting.cli,
            dest=setting.name,
            action="store_const",
            const=not setting.default,
            help=text,
        )
        return
    default = format_default(setting).replace("%", "%%")
    group.add_argument(
        *setting.cli,
        dest=setting.name,
        action="append" if setting.kind.repeated else "store",
        metavar=setting.meta,
        help=f"{text} [default: {default}]",
    )
