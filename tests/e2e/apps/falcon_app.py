"""The same as ``flask_app``, on Falcon."""

from __future__ import annotations

import hashlib

import falcon

from tests.e2e.apps.bulk import PIECE, pieces


class Hello:
    """Says hello."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer in plain text."""
        resp.content_type = falcon.MEDIA_TEXT
        resp.text = "hello from falcon"


class Upload:
    """Describes the request's content."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer its size and hash."""
        digest = hashlib.sha256()
        size = 0
        while data := req.bounded_stream.read(PIECE):
            digest.update(data)
            size += len(data)
        resp.media = {"size": size, "sha256": digest.hexdigest()}


class Download:
    """Sends a number of octets, piece by piece."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, size: int) -> None:
        """Send ``size`` octets."""
        resp.content_type = "application/octet-stream"
        resp.set_stream(pieces(size), size)


app = falcon.App()
app.add_route("/", Hello())
app.add_route("/upload", Upload())
app.add_route("/download/{size:int}", Download())
