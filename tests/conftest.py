"""What the whole suite shares: the two HTTP twins, and a header that says which one is chosen."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, cast

import pytest

import monoceros

if TYPE_CHECKING:
    from monoceros.http.types import Twin


def pytest_report_header() -> str:
    """Name the twin that the server under test chooses, and why if it is not the compiled one."""
    try:
        http = importlib.import_module("monoceros.http")
        chosen = f"{http.IMPL} {http.IMPL_REASON}".rstrip()
    except (ImportError, AttributeError) as error:
        chosen = f"none ({error})"
    return f"monoceros {monoceros.__version__}, http twin: {chosen}"


@pytest.fixture(scope="session", params=["c", "py"])
def twin(request: pytest.FixtureRequest) -> Twin:
    """Each HTTP twin in turn: the modules ``monoceros.http._c`` and ``monoceros.http._py``.

    A compiled twin that was not built is a skip, and a failure under MONOCEROS_REQUIRE_C=1.
    """
    try:
        return cast("Twin", importlib.import_module(f"monoceros.http._{request.param}"))
    except ModuleNotFoundError as error:
        # Named after the extension behind the twin where that is all that is missing.
        if request.param == "py" or not (error.name or "").startswith("monoceros.http._"):
            raise
    if os.environ.get("MONOCEROS_REQUIRE_C") == "1":
        pytest.fail("MONOCEROS_REQUIRE_C=1, but the compiled twin was not built", pytrace=False)
    pytest.skip("the compiled twin was not built")
