"""The worker classes, by the names that the setting ``worker_class`` knows."""

from monoceros.config import Config as _Config

SUPPORTED_WORKERS: dict[str, str] = {
    name: path for name, path in _Config.worker_class.aliases.items() if name.isidentifier()
}
