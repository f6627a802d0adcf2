"""The worker class ``gthread``."""

from monoceros.workers.gthread import ThreadWorker as ThreadWorker
