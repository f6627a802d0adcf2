"""The worker class ``sync``."""

from monoceros.workers.sync import SyncWorker as SyncWorker
