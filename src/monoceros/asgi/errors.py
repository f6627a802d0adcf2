"""What ``send`` raises to tell an application that nobody takes what it sends."""

from __future__ import annotations

from monoceros.http.errors import ClientDisconnected

__all__ = ["ClientDisconnected"]
