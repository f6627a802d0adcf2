"""The application side of ASGI: what an application is called with, and calls."""
