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

# Everything with the compiled twin and our defaults; tests of HTTP and from end to end take each
# twin in turn by themselves. Real servers also with Gunicorn's defaults: the arbiter's tests with
# the pure-Python twin, those from end to end with the compiled one. These wait most of the time, and
# run beside what needs no quiet machine.
export MONOCEROS_REQUIRE_C=1
others=$(mktemp)
trap 'kill $beside 2>/dev/null || true; rm -f "$others"' EXIT
MONOCEROS_IMPL=py MONOCEROS_TEST_COMPAT=gunicorn \
    python -m pytest -m "not slow and not settled and not soak" \
    tests/process tests/e2e >"$others" 2>&1 &
beside=$!
failed=0
export MONOCEROS_IMPL=c
python -m pytest --ignore=tests/process --ignore=tests/e2e || failed=1
wait $beside || failed=1
cat "$others"
python -m pytest tests/process tests/e2e || failed=1
exit $failed
