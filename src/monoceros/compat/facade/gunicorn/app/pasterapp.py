"""Applications that PasteDeploy makes, and the server as it starts it."""

from typing import Any

from monoceros.compat.pasted import get_wsgi_app as get_wsgi_app
from monoceros.compat.pasted import has_logging_config as has_logging_config


def serve(app: Any, global_conf: dict[str, Any], **local_conf: Any) -> None:
    """Serve ``app`` with the settings of a ``[server:]`` section; ends the process."""
    from monoceros import paste

    getattr(paste, "serve_as_gunicorn", paste.serve)(app, global_conf, **local_conf)
