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
unset CI  # or pytest's summary has whole logs in it, before which nothing is to be seen
MONOCEROS_EXT=require pip install --quiet --editable '.[test,packaging,lint]'
# It asks for gunicorn, whose place is taken here.
pip install --quiet --no-deps uvicorn-worker

ruff check .
ruff format --check .
mypy
cython-lint ext
codespell
zizmor --offline --quiet --persona pedantic .github

# Everything with the compiled twin and our defaults; tests of HTTP and from end to end take each
# twin in turn by themselves. Real servers also with Gunicorn's defaults, the arbiter's tests with the
# pure-Python twin; and what may be lost, or held up by slow clients, also in greenlets. Some at a
# time, because most of them wait most of the time; those that compare times come last and alone.
export MONOCEROS_REQUIRE_C=1 MONOCEROS_IMPL=c
usual="not slow and not settled and not soak"
losses="tests/e2e/test_losses.py tests/e2e/test_no_request_lost.py tests/e2e/test_slow_clients.py
    tests/e2e/test_stop.py"
logs=$(mktemp -d)
others=()
trap 'kill "${others[@]}" 2>/dev/null || true; rm -rf "$logs"' EXIT
failed=0

beside() {
    "$@" >"$logs/${#others[@]}" 2>&1 &
    others+=($!)
}

join() {
    for number in "${!others[@]}"; do
        wait "${others[number]}" || failed=1
        cat "$logs/$number"
    done
    others=()
}

with_other_defaults() {
    local failed=0
    MONOCEROS_IMPL=py MONOCEROS_TEST_COMPAT=gunicorn \
        python -m pytest -m "$usual" tests/process tests/e2e || failed=1
    in_greenlets gevent || failed=1
    return $failed
}

in_greenlets() {
    # One twin will do: MONOCEROS_TEST_COMPAT takes the compiled one.
    # shellcheck disable=SC2086
    MONOCEROS_TEST_COMPAT=gunicorn MONOCEROS_TEST_WORKER=$1 python -m pytest -m "$usual" $losses
}

from_end_to_end() {
    python -m pytest -m "not quiet and not soak" "$@"
}

beside with_other_defaults
python -m pytest --ignore=tests/process --ignore=tests/e2e || failed=1
in_greenlets eventlet || failed=1
join

matrix=tests/e2e/test_matrix.py
vanishing=tests/e2e/test_asgi_vanishing.py
beside python -m pytest tests/process $matrix $vanishing
beside from_end_to_end tests/e2e/test_asgi_*.py --ignore=$vanishing
from_end_to_end tests/e2e --ignore-glob='tests/e2e/test_asgi_*.py' --ignore=$matrix || failed=1
join

python -m pytest -m "quiet and not soak" tests/e2e || failed=1
exit $failed
