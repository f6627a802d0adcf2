"""Requests as hooks and loggers see them."""

from gunicorn.http.message import Message as Message
from gunicorn.http.message import Request as Request
