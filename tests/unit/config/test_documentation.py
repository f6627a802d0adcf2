"""The documentation says what the records say."""

from __future__ import annotations

from pathlib import Path

import pytest

from monoceros.config import Config
from monoceros.config.commandline import build_parser
from monoceros.config.documentation import write_page
from monoceros.config.sections import SECTIONS, SETTINGS

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_is_current() -> None:
    refresh = "python -m monoceros.config.documentation > docs/settings.md"
    assert PAGE.read_text(encoding="utf-8") == write_page(), f"run: {refresh}"


def test_every_setting_is_documented() -> None:
    headings = [line[4:] for line in write_page().splitlines() if line.startswith("### ")]
    assert headings == [setting.name for setting in SETTINGS]
    for setting in SETTINGS:
        assert setting.doc.endswith(".")


def test_a_configuration_has_every_section() -> None:
    assert Config.__mro__[1 : len(SECTIONS) + 1] == SECTIONS
    assert Config.workers.name == "workers"
    assert Config.workers.section == "Worker Processes"


def test_the_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser("monoceros").parse_args(["--help"])
    shown = capsys.readouterr().out
    for setting in SETTINGS:
        for flag in setting.cli:
            assert flag in shown


def test_no_two_settings_share_an_option() -> None:
    flags = [flag for setting in SETTINGS for flag in setting.cli]
    assert len(flags) == len(set(flags))
