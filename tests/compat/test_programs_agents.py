"""Agents that watch an application: Sentry's, OpenTelemetry's and New Relic's, without network."""

from __future__ import annotations

import json
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.process.conftest import skip_without

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.conftest import Server

pytestmark = [pytest.mark.process, pytest.mark.settled]

PAGES = """\
from flask import Flask

app = Flask(__name__)

@app.get("/page/<name>")
def page(name):
    return name

@app.get("/error")
def error():
    raise LookupError("nothing there")
"""


def ask_both(srv: Server) -> None:
    """Ask for a page, and for the one that fails."""
    assert srv.get("/page/one").body == b"one"
    assert srv.get("/error").status == 500


def stop(srv: Server) -> None:
    """End a server; what agents still have they hand over when its workers exit."""
    srv.signal(signal.SIGTERM)
    assert srv.wait() == 0
    assert not srv.count("WARNING|CRITICAL|Cut off")


# -- Sentry

SENTRY = """\
import json, os, sentry_sdk
from sentry_sdk.transport import Transport

class FileTransport(Transport):
    def capture_envelope(self, envelope):
        with open("seen", "a") as file:
            for item in envelope.items:
                print(json.dumps([os.getpid(), item.type, item.payload.json]), file=file)

def post_fork(server, worker):
    dsn = "http://key@127.0.0.1:1/1"
    sentry_sdk.init(dsn, transport=FileTransport, traces_sample_rate=1.0)
"""


# Sentry imports Django where that is installed, and gevent cannot patch once it was imported
# without settings, under Gunicorn neither: this is the remedy for what is imported too early.
PATCHED = "from gevent import monkey\nmonkey.patch_all()\n" + SENTRY


@pytest.mark.parametrize(
    ("options", "conf"),
    [((), SENTRY), (("--preload",), SENTRY), (("-k", "gevent"), PATCHED)],
    ids=["sync", "preload", "gevent"],
)
def test_sentry(
    program: Callable[..., Server], options: tuple[str, ...], conf: str, tmp_path: Path
) -> None:
    skip_without("sentry_sdk")
    if "gevent" in options:
        skip_without("gevent")
    words = ("-m", "gunicorn", "-b", "127.0.0.1:0", "--log-level", "debug", *options, "app:app")
    srv = program(*words, files={"app.py": PAGES, "gunicorn.conf.py": conf})
    (worker,) = srv.wait_workers(1)
    ask_both(srv)
    stop(srv)

    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    assert {pid for pid, _, _ in seen} == {worker}
    names = {item["transaction"] for _, kind, item in seen if kind == "transaction"}
    assert names == {"page", "error"}
    (event,) = [item for _, kind, item in seen if kind == "event"]
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("LookupError", "nothing there")
    assert event["request"]["url"] == f"http://127.0.0.1:{srv.port}/error"


# -- OpenTelemetry

TELEMETRY = """\
def post_fork(server, worker):
    from opentelemetry import trace
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    provider = TracerProvider(resource=Resource.create({"worker": worker.pid}))
    exporter = ConsoleSpanExporter(out=open("seen", "w"))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
    trace.set_tracer_provider(provider)
    FlaskInstrumentor().instrument()
"""


def read_status(span: dict[str, dict[str, int]]) -> int | None:
    """Return the status of the answer, by its name of today or the one to come."""
    attributes = span["attributes"]
    return attributes.get("http.status_code", attributes.get("http.response.status_code"))


@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_opentelemetry(program: Callable[..., Server], kind: str, tmp_path: Path) -> None:
    if kind == "gevent":
        skip_without("gevent")
    skip_without("opentelemetry.instrumentation.flask")
    skip_without("opentelemetry.sdk")
    words = f"-m gunicorn -k {kind} -b 127.0.0.1:0 --log-level debug app:app"
    srv = program(*words.split(), files={"app.py": PAGES, "gunicorn.conf.py": TELEMETRY})
    (worker,) = srv.wait_workers(1)
    ask_both(srv)
    stop(srv)

    seen = json.loads("[" + (tmp_path / "seen").read_text().replace("\n}\n{", "\n},\n{") + "]")
    assert {span["resource"]["attributes"]["worker"] for span in seen} == {worker}
    assert [span["name"] for span in seen] == ["GET /page/<name>", "GET /error"]
    assert [read_status(span) for span in seen] == [200, 500]
    assert seen[1]["status"]["status_code"] == "ERROR"


# -- New Relic

COMMAND = f"""\
#!{sys.executable}
import sys
from monoceros.__main__ import main
sys.exit(main())
"""

OFFLINE = """\
[newrelic]
app_name = site
developer_mode = true
startup_timeout = 20
log_file = agent.log
audit_log_file = audit.log
"""


def test_new_relic(program: Callable[..., Server], tmp_path: Path) -> None:
    skip_without("newrelic")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gunicorn").write_text(COMMAND)
    (tmp_path / "bin/gunicorn").chmod(0o755)
    words = "-m newrelic.admin run-program gunicorn -w 1 -b 127.0.0.1:0 app:app"
    env = {
        "PATH": str(tmp_path / "bin"),
        "GUNICORN_CMD_ARGS": "--log-level debug",
        "NEW_RELIC_CONFIG_FILE": "newrelic.ini",
    }
    srv = program(*words.split(), files={"app.py": PAGES, "newrelic.ini": OFFLINE}, env=env)
    srv.wait_workers(1)
    ask_both(srv)
    stop(srv)

    seen = (tmp_path / "audit.log").read_text()
    assert "['Dispatcher', 'gunicorn']" in seen
    names = set(re.findall(r"'name': '(WebTransaction/[^']+)'", seen))
    assert names >= {"WebTransaction/Function/app:page", "WebTransaction/Function/app:error"}
    assert "'error.class': 'builtins:LookupError'" in seen
