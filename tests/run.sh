#!/usr/bin/env bash
# Installs the project with all its tools into .venv, then checks everything: lint, types, and
# the tests on both HTTP twins. Needs Python 3.10 or later with venv, and a C compiler.
# Another interpreter: PYTHON=python3.13 tests/run.sh
set -euo pipefail
cd "$(dirname "$0")/.."

"${PYTHON:-python3}" -m venv .venv
# cython-lint looks for pycodestyle on the PATH.
export PATH="$PWD/.venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1
unset MONOCEROS_IMPL
MONOCEROS_EXT=require pip install --quiet --editable '.[test,packaging,lint]'

ruff check .
ruff format --check .
mypy
cython-lint ext
codespell
zizmor --offline --quiet --persona pedantic .github

# Real servers with Gunicorn's defaults: the arbiter's tests with the pure-Python twin, those from
# end to end with the compiled one. Then everything with our defaults, and the compiled twin; tests
# of HTTP and from end to end take each twin in turn by themselves.
MONOCEROS_IMPL=py MONOCEROS_TEST_COMPAT=gunicorn \
    python -m pytest -m "not slow and not settled" tests/process tests/e2e
MONOCEROS_IMPL=c MONOCEROS_REQUIRE_C=1 python -m pytest
