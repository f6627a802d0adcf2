"""Decides which extensions are built, or none; everything else is in pyproject.toml.

``MONOCEROS_EXT`` = ``auto`` builds them where a C compiler works, ``require`` fails without
one, ``no`` builds none. Without extensions the wheel is a pure one (py3-none-any).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.errors import CCompilerError, PlatformError

# From setuptools' own distutils: the standard library's is gone since Python 3.12.
from distutils.ccompiler import new_compiler  # isort: skip
from distutils.sysconfig import customize_compiler, get_python_inc  # isort: skip

SOURCES = Path("ext/monoceros/http")
CHOICES = ("auto", "require", "no")
# All others, such as the one that asks for metadata, need neither Cython's work nor a compiler.
COMMANDS = {"build", "build_ext", "bdist_wheel", "develop", "editable_wheel", "install"}

# Passed as arguments because CFLAGS in the environment replaces the interpreter's own flags.
COMPILE_ARGS = ["-O3", "-g0"]

# Every access through a pointer is unchecked either way; these turn the checks on Python
# objects off as well. "clinic" signatures are what inspect.signature() reads without binding.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "freethreading_compatible": True,
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "autotestdict": False,
    "auto_pickle": False,
}


def choice() -> str:
    """Return MONOCEROS_EXT, checked."""
    value = os.environ.get("MONOCEROS_EXT", "") or "auto"
    if value not in CHOICES:
        sys.exit(f"MONOCEROS_EXT={value!r}: choose one of {', '.join(CHOICES)}")
    return value


def probe() -> str | None:
    """Compile a file that needs Python's headers; return what went wrong, or None.

    ``Extension(optional=True)`` would not do: cythonize loses the flag, and a compiler that
    is missing would still leave a wheel with a platform tag.
    """
    compiler = new_compiler()
    customize_compiler(compiler)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nint monoceros_probe(void) { return 0; }\n")
        try:
            compiler.compile([str(source)], output_dir=folder, include_dirs=[get_python_inc()])
        except (CCompilerError, PlatformError, OSError) as error:
            return str(error)
    return None


def extensions() -> list[Extension]:
    """Return one compiled extension for each .pyx file, named after it."""
    from Cython.Build import cythonize

    shared = sorted(str(path) for end in ("*.pxd", "*.h") for path in SOURCES.glob(end))
    found = [
        Extension(
            f"monoceros.http.{path.stem}",
            [path.as_posix()],
            include_dirs=[SOURCES.as_posix()],
            depends=shared,
            extra_compile_args=COMPILE_ARGS,
        )
        for path in sorted(SOURCES.glob("*.pyx"))
    ]
    if not found:
        return []
    return cythonize(
        found,
        include_path=["ext"],
        build_dir="build/cython",
        compiler_directives=DIRECTIVES,
    )


def chosen() -> list[Extension]:
    """Return the extensions to build under MONOCEROS_EXT on this machine."""
    wanted = choice()
    if wanted == "no" or not COMMANDS.intersection(sys.argv):
        return []
    problem = probe()
    if problem is None:
        return extensions()
    if wanted == "require":
        sys.exit(f"MONOCEROS_EXT=require, but no working C compiler was found: {problem}")
    print(f"monoceros: building without extensions, no working C compiler: {problem}")
    return []


setup(ext_modules=chosen())
