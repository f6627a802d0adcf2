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
# pure-Python twin; and what may be lost, or held up by slow clients, also in greenlets. Two at a time,
# because most of them wait most of the time; those that compare times come last and alone.
export MONOCEROS_REQUIRE_C=1 MONOCEROS_IMPL=c
usual="not slow and not settled and not soak"
losses="tests/e2e/test_losses.py tests/e2e/test_no_request_lost.py tests/e2e/test_slow_clients.py
    tests/e2e/test_stop.py"
others=$(mktemp)
trap 'kill $beside 2>/dev/null || true; rm -f "$others"' EXIT
failed=0

beside() {
    "$@" >"$others" 2>&1 &
    beside=$!
}

join() {
    wait $beside || failed=1
    cat "$others"
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

beside with_other_defaults
python -m pytest --ignore=tests/process --ignore=tests/e2e || failed=1
in_greenlets eventlet || failed=1
join

asgi="tests/e2e/test_asgi.py tests/e2e/test_asgi_vanishing.py tests/e2e/test_matrix.py"
# shellcheck disable=SC2086
beside python -m pytest tests/process $asgi
# shellcheck disable=SC2086
python -m pytest -m "not quiet and not soak" tests/e2e ${asgi//tests/--ignore=tests} || failed=1
join

python -m pytest -m "quiet and not soak" tests/e2e || failed=1
exit $failed
