"""The page ``docs/settings.md``, written from the records.

``python -m monoceros.config.documentation > docs/settings.md`` brings it up to date.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from monoceros.config.listing import format_default
from monoceros.config.sections import SECTIONS, SETTINGS

if TYPE_CHECKING:
    from monoceros.config.setting import Section, Setting

_HEAD = """# Settings

Every setting has a name, under which a configuration file assigns it, and most have a command
line option. A later place in this list wins over an earlier one:

1. the default,
2. an environment variable of its own (`PORT`, `WEB_CONCURRENCY`, `FORWARDED_ALLOW_IPS`,
   `SENDFILE`),
3. the configuration file: the one given with `--config`, else `gunicorn.conf.py` in the directory
   the server is started from,
4. the environment variable `GUNICORN_CMD_ARGS`, which holds command line options,
5. the command line.

A configuration file is Python and is run as such. A name in it that is no setting, but close to
one, gets a warning with the likely name; other names are the file's own business. `None` there
means the default where that is no number, and nobody where a setting says who is trusted. An option
that may be repeated replaces the file's whole list. Long options may be shortened as long as they
are unmistakable.

`--print-config` shows every setting with its value and where it was set, `--print-config --format
json` the same for programs; `--check-config` tells whether configuration and application can be
loaded. A wrong value ends the server at once with exit code 1 and a message that names the setting,
its value, what is allowed and where it was set.

Settings of Gunicorn whose feature is not in this version are here too. They can be left off;
anything else ends the start with a message that says what is missing.
[Differences](differences.md) has what `compat = "gunicorn"` changes.
"""


def write_page() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *map(_write_section, SECTIONS)])


def _write_section(section: type[Section]) -> str:
    records = [record for record in SETTINGS if record.section == section.title]
    intro = (section.__doc__ or "").strip()
    return "\n".join([f"## {section.title}\n\n{intro}\n", *map(_write_setting, records)])


def _write_setting(setting: Setting[object]) -> str:
    options = ", ".join(f"`{flag}{_argument(setting)}`" for flag in setting.cli)
    facts = [f"- Command line: {options}"] if options else ["- Configuration file only"]
    facts.append(f"- Default: {_default(setting.default)}")
    if setting.gunicorn != setting.default:
        facts.append(f"- Default under `compat`: {_default(setting.gunicorn)}")
    facts.append(f"- Allowed: {setting.kind.allowed}")
    if setting.ours:
        facts.append("- Not in Gunicorn")
    if setting.missing:
        facts.append(f"- Not in this version: {setting.missing}")
    if setting.env:
        facts.append(f"- Environment: `{setting.env.name}`")
    return "\n".join([f"### {setting.name}\n", *facts, "", setting.doc, ""])


def _argument(setting: Setting[object]) -> str:
    return f" {setting.meta}" if setting.meta and not setting.kind.flag else ""


def _default(value: object) -> str:
    text = format_default(value)
    if value is None or callable(value) or not text:
        return text
    return f"`{text}`"


if __name__ == "__main__":
    sys.stdout.write(write_page())
