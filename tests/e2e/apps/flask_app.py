"""A Flask application that counts and hashes what it is sent, and sends a lot."""

from __future__ import annotations

import hashlib

from flask import Flask, Response, request

from tests.e2e.apps.bulk import PIECE, pieces

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    """Say hello."""
    return "hello from flask"


@app.post("/upload")
def upload() -> dict[str, str | int]:
    """Describe the request's content."""
    digest = hashlib.sha256()
    size = 0
    while data := request.stream.read(PIECE):
        digest.update(data)
        size += len(data)
    return {"size": size, "sha256": digest.hexdigest()}


@app.post("/form")
def form() -> dict[str, str]:
    """Echo a form."""
    return dict(request.form)


@app.get("/download/<int:size>")
def download(size: int) -> Response:
    """Send ``size`` octets, piece by piece."""
    fields = {"Content-Length": str(size)}
    return Response(pieces(size), mimetype="application/octet-stream", headers=fields)
