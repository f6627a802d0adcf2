"""What to say of who answers to ``gunicorn``: a table, what is wrong, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monoceros.compat import remedies
from monoceros.compat.finder import NAME
from monoceros.compat.owners import GUNICORN, MONOCEROS, NOBODY, Owners, find_distribution
from monoceros.compat.scripts import place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution

    from monoceros.compat.scripts import Script


# -- the table


def list_answers(owners: Owners) -> Iterator[str]:
    """Yield a line for each way to ask for the name."""
    for question, owner, detail in _answers(owners):
        yield f"  {question:<11}{owner:<12}{detail}".rstrip()


def _answers(owners: Owners) -> Iterator[tuple[str, str, str]]:
    yield "command", owners.of_script(owners.here), _describe_script(owners.here)
    yield "on PATH", owners.of_script(owners.on_path), _describe_script(owners.on_path)
    yield "import", owners.of_import, owners.package or ""
    yield "metadata", owners.of_metadata, _describe(owners.metadata)
    yield "installed", ", ".join(map(_describe, owners.installed)) or "nothing", ""


def _describe_script(script: Script | None) -> str:
    if script is None:
        return ""
    if script.is_of_this_environment:
        return str(script.path)
    return f"{script.path}, run by {script.interpreter or 'what it says itself'}"


def _describe(one: Distribution | None) -> str:
    return f"{one.metadata['Name']} {one.version}" if one else ""


# -- the verdict


def conclude(owners: Owners) -> str:
    """Return what it comes to where nothing is wrong."""
    if owners.of_import == NOBODY:
        command = remedies.install(f"monoceros[{NAME}]", find_distribution("monoceros"))
        return f"Nobody answers to the name. To have Monoceros do it:\n  {command}"
    verdict = f"{owners.of_import} answers to the name."
    if owners.here and owners.on_path is None:
        verdict += f" Its command is not on the PATH, and so has to be called {owners.here.path}."
    if owners.of_import == GUNICORN and owners.ours:
        return (
            f"{verdict} {_describe(owners.ours)} is installed too, and to uninstall one of them "
            f"removes the command of the other.\n{_choose(*owners.installed)}"
        )
    return verdict


def find_problems(owners: Owners) -> Iterator[str]:
    """Yield what makes the name mean more than one thing, or less than it should."""
    if owners.installed and owners.here is None:
        yield _tell_loss(owners.installed)
    elif len({owners.of_script(owners.here), owners.of_import, owners.of_metadata}) > 1:
        yield _tell_difference(owners)
    here, on_path = owners.here, owners.on_path
    if here and on_path and here.path.resolve() != on_path.path.resolve():
        yield (
            f"A shell finds {on_path.path}, which is not of this environment. Activate the "
            f"environment, or write {here.path}."
        )


def _tell_loss(installed: list[Distribution]) -> str:
    one, names = installed[0], " and ".join(map(_describe, installed))
    text = (
        f"The command is missing. {names} put it at {place(one)}, and something took it away, as "
        "the uninstall of another distribution with the same command does."
    )
    if len(installed) > 1:
        return f"{text}\n{_choose(*installed)}"
    return f"{text} To bring it back:\n  {remedies.reinstall(one)}"


def _tell_difference(owners: Owners) -> str:
    if len(owners.installed) > 1:
        return f"The name means more than one thing.\n{_choose(*owners.installed)}"
    if not owners.installed:
        return "The name means more than one thing, and no distribution that is installed here."
    (one,) = owners.installed
    text = "The name means more than one thing."
    if owners.ours and owners.of_import == NOBODY:
        text = (
            "The name cannot be imported, because no interpreter runs monoceros_gunicorn.pth in "
            f"{one.locate_file('')}. It has to be in a site directory; folders that PYTHONPATH "
            "names are none."
        )
    return f"{text} To install {one.metadata['Name']} anew:\n  {remedies.reinstall(one)}"


def _choose(ours: Distribution, real: Distribution) -> str:
    return "\n".join(
        f"To have {owner} only:\n  {remedies.uninstall(loser)}\n  {remedies.reinstall(winner)}"
        for owner, winner, loser in ((MONOCEROS, ours, real), (GUNICORN, real, ours))
    )
