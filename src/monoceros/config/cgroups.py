"""Limits that control groups set on this process: CPU time and memory, versions 1 and 2.

Theory of operation. ``/proc/self/cgroup`` names the group of this process in each hierarchy,
``/proc/self/mountinfo`` where a hierarchy is mounted and which of its groups is the mount's
root: in a container that is often the container's own group. A limit of any group from the own
one up to the root of the mount holds, so the lowest counts. What cannot be read or understood
sets no limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_T = TypeVar("_T", float, int)

UNIFIED = ""  # how version 2's one hierarchy is called below; those of version 1 have names

_PERIOD_US = 100_000  # the kernel's default


class Mount(NamedTuple):
    """One mounted hierarchy: its controllers, the group at its root, and where it is."""

    controllers: frozenset[str]
    root: str
    point: str


def read_cpus(root: Path) -> float | None:
    """Return the lowest quota in CPUs, None where there is none; ``root`` is the file system's."""
    return min(_read_limits(root, "cpu", _quota_v2, _quota_v1), default=None)


def read_memory(root: Path) -> int | None:
    """Return the lowest memory limit in bytes, None where there is none."""
    return min(_read_limits(root, "memory", _memory_v2, _memory_v1), default=None)


def read_free_memory(root: Path) -> int | None:
    """Return how many bytes are left below the limit that is closest; None where there is none.

    Files that the kernel can drop from memory at any time count as free.
    """
    return min(_read_limits(root, "memory", _free_v2, _free_v1), default=None)


def own_directories(root: Path, name: str) -> Iterator[Path]:
    """Yield the directories of this process's group and of its parents, innermost first.

    ``name`` is a controller of version 1, or ``UNIFIED``.
    """
    groups = dict(_groups(read_text(root / "proc/self/cgroup")))
    for mount in _mounts(read_text(root / "proc/self/mountinfo")):
        if name in mount.controllers and name in groups:
            yield from _directories(root, mount, groups[name])


def read_text(path: Path) -> str:
    """Return the contents of one of the kernel's files, empty where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


def _read_limits(
    root: Path,
    controller: str,
    version2: Callable[[Path], Iterator[_T]],
    version1: Callable[[Path], Iterator[_T]],
) -> Iterator[_T]:
    for name, read in ((UNIFIED, version2), (controller, version1)):
        for directory in own_directories(root, name):
            yield from read(directory)


def _groups(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                yield controller, parts[2]


def _mounts(text: str) -> Iterator[Mount]:
    for line in text.splitlines():
        # Any number of optional fields stands before the dash.
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or len(kinds) < 3:
            continue
        if kinds[0] == "cgroup2":
            yield Mount(frozenset([UNIFIED]), fields[3], _unescape(fields[4]))
        elif kinds[0] == "cgroup":
            yield Mount(frozenset(kinds[2].split(",")), fields[3], _unescape(fields[4]))


def _unescape(path: str) -> str:
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\134", "\\")):
        path = path.replace(octal, character)
    return path


def _directories(root: Path, mount: Mount, group: str) -> Iterator[Path]:
    """Yield the directories of a group and of its parents, as far as this mount shows them."""
    top = root / mount.point.lstrip("/")
    prefix = mount.root.rstrip("/") + "/"
    inside = group.removeprefix(prefix) if (group + "/").startswith(prefix) else ""
    parts = [part for part in inside.split("/") if part]
    if group == mount.root or ".." in parts:
        # Seen from inside of another namespace: only the root of the mount is known.
        parts = []
    for depth in range(len(parts), -1, -1):
        yield top.joinpath(*parts[:depth])


def _quota_v2(directory: Path) -> Iterator[float]:
    words = read_text(directory / "cpu.max").split()
    if words:
        yield from _quota(words[0], words[1] if len(words) > 1 else str(_PERIOD_US))


def _quota_v1(directory: Path) -> Iterator[float]:
    quota, period = (read_text(directory / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    yield from _quota(quota, period)


def _quota(quota: str, period: str) -> Iterator[float]:
    for time in _number(quota):
        for whole in _number(period):
            yield time / whole


def _memory_v2(directory: Path) -> Iterator[int]:
    # Above memory.high there is no killing, but the processes are slowed down without end.
    for name in ("memory.max", "memory.high"):
        yield from _number(read_text(directory / name))


def _memory_v1(directory: Path) -> Iterator[int]:
    yield from _number(read_text(directory / "memory.limit_in_bytes"))


def _free_v2(directory: Path) -> Iterator[int]:
    yield from _free(directory, _memory_v2(directory), "memory.current", "inactive_file")


def _free_v1(directory: Path) -> Iterator[int]:
    usage = "memory.usage_in_bytes"
    yield from _free(directory, _memory_v1(directory), usage, "total_inactive_file")


def _free(directory: Path, limits: Iterator[int], usage: str, cache: str) -> Iterator[int]:
    for limit in limits:
        for used in _number(read_text(directory / usage)):
            yield max(0, limit - used + _read_stat(directory, cache))


def _read_stat(directory: Path, name: str) -> int:
    for line in read_text(directory / "memory.stat").splitlines():
        word, _, number = line.partition(" ")
        if word == name:
            return next(_number(number), 0)
    return 0


def _number(text: str) -> Iterator[int]:
    """Yield a positive number; nothing for ``max``, ``-1`` and what is no number."""
    text = text.strip()
    if text.isascii() and text.isdigit() and int(text) > 0:
        yield int(text)
