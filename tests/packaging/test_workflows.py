"""The list of wheels that a release is made of, as the configuration of cibuildwheel gives it."""

from __future__ import annotations

import sys
from itertools import product

import pytest

from tests.packaging.builds import ROOT, run, succeed

PYTHONS = ("cp310", "cp311", "cp312", "cp313", "cp314")
PLATFORMS = {
    ("linux", "x86_64"): ("manylinux_x86_64", "musllinux_x86_64"),
    ("linux", "aarch64"): ("manylinux_aarch64", "musllinux_aarch64"),
    ("macos", "x86_64"): ("macosx_x86_64",),
    ("macos", "arm64"): ("macosx_arm64",),
}


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "arch"), PLATFORMS)
def test_wheels_of_a_release(platform: str, arch: str) -> None:
    pytest.importorskip("cibuildwheel")
    names = {f"{python}-{tag}" for python, tag in product(PYTHONS, PLATFORMS[platform, arch])}

    printed = succeed(
        run(
            *(sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"),
            *("--platform", platform, "--archs", arch, ROOT),
        )
    )

    assert set(printed.split()) == names
