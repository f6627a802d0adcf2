"""Reads the Markdown files of ``tests/corpus``; their README defines the notation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from monoceros.http.types import Limits, Rules

FOLDER = Path(__file__).parent.parent / "corpus"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ESCAPE = re.compile(r"x[0-9a-f]{2}|[rnt\\]")
_SIMPLE = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}


class Case(NamedTuple):
    """One request, or several in a row, and the outcome's lines."""

    name: str
    data: bytes
    outcome: list[str]
    limits: Limits
    rules: Rules
    trusted: bool


def unescape(text: str) -> str:
    """Return the octets that ``text`` stands for, each as one latin-1 character."""
    result, end = _unescape(text, 0, nested=False)
    assert end == len(text)
    return result


def _unescape(text: str, position: int, nested: bool) -> tuple[str, int]:
    parts: list[str] = []
    while position < len(text):
        char = text[position]
        position += 1
        if char == "}" and nested:
            return "".join(parts), position
        if char != "\\":
            parts.append(char)
        elif text[position] == "{":
            count, colon, _ = text[position + 1 :].partition(":")
            inner, position = _unescape(text, position + 1 + len(count + colon), nested=True)
            parts.append(inner * int(count))
        else:
            match = _ESCAPE.match(text, position)
            assert match, text[position:]
            parts.append(_SIMPLE.get(match[0]) or chr(int(match[0][1:], 16)))
            position = match.end()
    assert not nested, text
    return "".join(parts), position


def _settings(lines: list[str]) -> tuple[Limits, Rules, bool]:
    limits: dict[str, int] = {}
    rules: dict[str, object] = {}
    trusted = False
    for line in lines:
        name, _, value = line.partition(" ")
        if name in Limits._fields:
            limits[name] = int(value)
        elif name == "trusted":
            trusted = value == "True"
        elif name == "forwarder_headers":
            rules[name] = frozenset(value.split(","))
        else:
            rules[name] = value == "True" if value in ("True", "False") else value
    return Limits(**limits), Rules(**rules), trusted  # type: ignore[arg-type]


def _read(path: Path) -> list[Case]:
    cases = []
    for section in path.read_text("utf-8").split("\n## ")[1:]:
        title = section.partition("\n")[0]
        blocks = {match[1]: match[2] for match in _BLOCK.finditer(section)}
        limits, rules, trusted = _settings(blocks.get("settings", "").splitlines())
        data = unescape(blocks["http"].replace("\n", "")).encode("latin-1")
        outcome = [unescape(line) for line in blocks["outcome"].splitlines()]
        name = f"{path.stem}: {title}"
        cases.append(Case(name, data, outcome, limits, rules, trusted))
    return cases


def read_cases() -> list[Case]:
    """Return all cases of the corpus."""
    files = sorted(path for path in FOLDER.glob("*.md") if path.stem != "README")
    return [case for path in files for case in _read(path)]
