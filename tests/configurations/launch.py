"""Starts the server as its console script does, under the name that is the first argument."""

from __future__ import annotations

import sys
from importlib import import_module, util
from pathlib import Path

from monoceros import cli


def put(name: str, value: object) -> None:
    """Set an attribute of a module."""
    module, _, attribute = name.rpartition(".")
    setattr(import_module(module), attribute, value)


def pretend() -> None:
    """Use the machine of ``machine.py``, which is not on the module search path."""
    spec = util.spec_from_file_location("pretended", Path(__file__).with_name("machine.py"))
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.pretend(put)


if __name__ == "__main__":
    pretend()
    # A console script has its own directory there, which is none of the application's.
    sys.path.pop(0)
    del sys.argv[0]
    sys.exit(cli.main())
