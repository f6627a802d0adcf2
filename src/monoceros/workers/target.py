"""An application's name, taken apart."""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, NamedTuple

from monoceros.errors import AppImportError
from monoceros.workers.mistakes import FORMS

if TYPE_CHECKING:
    import ast

DEFAULT_NAME = "application"


class Target(NamedTuple):
    """``arguments`` is None where nothing is to be called."""

    module: str
    name: str
    arguments: tuple[object, ...] | None
    keywords: dict[str, object]


def parse_uri(uri: str) -> Target:
    """Take ``MODULE[:NAME[(LITERALS)]]`` apart; raises AppImportError for anything else."""
    module, _, expression = uri.partition(":")
    if not expression:
        expression = DEFAULT_NAME
    target = Target(module, *_parse_expression(expression))
    if not module or module.startswith("."):
        raise AppImportError(f"{uri!r} names no module: an application is given as {FORMS}")
    return target


def _parse_expression(
    expression: str,
) -> tuple[str, tuple[object, ...] | None, dict[str, object]]:
    if expression.isascii() and expression.isidentifier() and not iskeyword(expression):
        return expression, None, {}
    # Imported late: a plain name needs none of it.
    import ast

    try:
        body = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        raise _refuse(expression) from None
    if isinstance(body, ast.Name):
        return body.id, None, {}
    if isinstance(body, ast.Call) and isinstance(body.func, ast.Name):
        return body.func.id, *_literals(body, expression)
    if isinstance(body, ast.Attribute):
        raise _refuse(
            expression, " A name cannot contain a dot: bind it to a plain name in the module."
        )
    raise _refuse(expression)


def _refuse(expression: str, hint: str = "") -> AppImportError:
    return AppImportError(
        f"Failed to parse {expression!r} as an attribute name or function call.{hint}"
    )


def _literals(call: ast.Call, expression: str) -> tuple[tuple[object, ...], dict[str, object]]:
    from ast import literal_eval

    try:
        arguments = tuple(literal_eval(one) for one in call.args)
        keywords = {str(one.arg): literal_eval(one.value) for one in call.keywords if one.arg}
    except ValueError:
        raise AppImportError(
            f"Failed to parse arguments as literal values: {expression!r}"
        ) from None
    if len(keywords) != len(call.keywords):
        raise AppImportError(f"Failed to parse arguments as literal values: {expression!r}")
    return arguments, keywords
