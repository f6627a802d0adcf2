"""The worker class ``asgi``."""

from monoceros.workers.gasgi import ASGIWorker as ASGIWorker
