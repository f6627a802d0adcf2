"""Requests as hooks and loggers see them."""

from monoceros.wsgi.exchange import RequestView as Message
from monoceros.wsgi.exchange import RequestView as Request

__all__ = ["Message", "Request"]
