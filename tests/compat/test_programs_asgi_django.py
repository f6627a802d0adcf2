"""Programs of Django on the ``asgi`` worker: real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compat.asgi_programs import check_stream, leave, leave_in_mid_answer, visit

if TYPE_CHECKING:
    from tests.compat.asgi_programs import Run

pytestmark = [pytest.mark.process, pytest.mark.settled]

DJANGO = """\
import asyncio
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from shared import parts, pieces, say

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="none",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
gate = asyncio.Event()

def in_thread(request):
    files = {name: file.read().decode() for name, file in request.FILES.items()}
    seen = {"method": request.method, "query": request.GET.dict(), "form": request.POST.dict()}
    return JsonResponse({**seen, "files": files, "host": request.get_host()})

async def in_loop(request):
    return HttpResponse(type(asyncio.current_task()).__name__)

async def stream(request):
    return StreamingHttpResponse(parts(gate))

async def open_gate(request):
    gate.set()
    return HttpResponse()

async def endless(request):
    return StreamingHttpResponse(pieces())

async def wait(request):
    say("begun", request.path)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("cancelled")
        raise

urlpatterns = [
    path("thread", in_thread),
    path("loop", in_loop),
    path("stream", stream),
    path("open", open_gate),
    path("endless", endless),
    path("wait", wait),
]
django = get_asgi_application()

async def app(scope, receive, send):
    try:
        await django(scope, receive, send)
    finally:
        say("over", scope.get("path"))
"""


def test_django(run_asgi: Run) -> None:
    srv = run_asgi("django httpx", DJANGO)
    with visit(srv) as client:
        assert client.get("/loop").text == "Task"
        files = {"file": ("name", b"content")}
        seen = client.post("/thread?a=1", data={"b": "2"}, files=files).json()
        assert seen == {
            "method": "POST",
            "query": {"a": "1"},
            "form": {"b": "2"},
            "files": {"file": "content"},
            "host": f"127.0.0.1:{srv.port}",
        }
        assert client.get("/missing").status_code == 404
    check_stream(srv)


def test_clients_that_leave_django(run_asgi: Run) -> None:
    srv = run_asgi("django httpx", DJANGO)
    leave(srv, "/wait")
    srv.wait_for("^cancelled$")
    srv.wait_for("^over /wait$")
    leave_in_mid_answer(srv, "/endless")
    srv.wait_for("^over /endless$")
    assert srv.get("/loop").status == 200
