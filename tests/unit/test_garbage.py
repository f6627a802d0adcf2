"""The collector is off for a while, and then as it was."""

from __future__ import annotations

import contextlib
import gc

import pytest

from monoceros.garbage import uncollected


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_before(enabled: bool) -> None:
    if not enabled:
        gc.disable()
    try:
        with contextlib.suppress(ImportError), uncollected():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
