"""Signs of life of workers."""

from monoceros.workers.signs import WorkerTmp as WorkerTmp
