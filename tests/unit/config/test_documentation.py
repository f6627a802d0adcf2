"""The documentation says what the records say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monoceros.config import Config, usage
from monoceros.config.documentation import write_page
from monoceros.config.listing import format_default
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


@pytest.mark.parametrize("prog", ["monoceros", "gunicorn"])
def test_the_full_help_names_every_option_and_default(prog: str) -> None:
    parts = re.split(r"\n\n  (?=-)", usage.format_full_help(prog))[1:]
    with_options = [setting for setting in SETTINGS if setting.cli]
    assert len(parts) == len(with_options)
    for part, setting in zip(parts, with_options, strict=True):
        head, _, text = part.partition("\n")
        assert head.startswith(", ".join(setting.cli))
        words = " ".join(text.split())
        facts = f"[{setting.name}; default: {format_default(setting.default_under(prog))}]"
        assert " ".join(facts.split()) in words
    assert all(len(line) <= 100 for part in parts for line in part.splitlines())


def test_both_defaults_are_shown() -> None:
    assert "[workers; default: auto]" in usage.format_full_help("monoceros")
    assert "[workers; default: 1]" in usage.format_full_help("gunicorn")
    workers = write_page().partition("### workers\n")[2].partition("###")[0]
    assert "- Default: `auto`\n- Default under `compat`: `1`\n" in workers


def test_every_other_default_is_explained() -> None:
    page = (PAGE.parent / "differences.md").read_text(encoding="utf-8")
    table = page.partition("## Mechanisms")[0]
    differing = [one.name for one in SETTINGS if one.gunicorn != one.default]
    assert [name for name in differing if f"| `{name}` |" not in table] == []
    ours = page.partition("## Settings that Gunicorn does not have")[2]
    assert [one.name for one in SETTINGS if one.ours and f"`{one.name}`" not in ours] == []


def test_the_help_fits_a_screen() -> None:
    for prog in ("monoceros", "gunicorn"):
        shown = usage.format_help(prog)
        lines = shown.splitlines()
        assert len(lines) <= 40
        assert max(map(len, lines)) <= 100
        assert len([line for line in lines if line.startswith(f"  {prog} ")]) == 3
    flags = {flag for setting in SETTINGS for flag in setting.cli}
    named = set(re.findall(r"^  (-\S+?),? ", shown, re.MULTILINE))
    assert named - flags == {"--help-all", "-v"}


def test_no_two_settings_share_an_option() -> None:
    flags = [flag for setting in SETTINGS for flag in setting.cli]
    assert len(flags) == len(set(flags))
