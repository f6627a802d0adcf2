"""The configuration as programs set it up, and what is known of each setting."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from monoceros.compat import settings as _settings
from monoceros.compat.settings import Setting as Setting
from monoceros.compat.settings import make_settings as make_settings
from monoceros.compat.validation import validate_bool as validate_bool
from monoceros.compat.validation import validate_callable as validate_callable
from monoceros.compat.validation import validate_chdir as validate_chdir
from monoceros.compat.validation import validate_class as validate_class
from monoceros.compat.validation import validate_dict as validate_dict
from monoceros.compat.validation import validate_file_exists as validate_file_exists
from monoceros.compat.validation import validate_group as validate_group
from monoceros.compat.validation import validate_list_string as validate_list_string
from monoceros.compat.validation import validate_pos_int as validate_pos_int
from monoceros.compat.validation import validate_post_request as validate_post_request
from monoceros.compat.validation import validate_string as validate_string
from monoceros.compat.validation import validate_string_to_list as validate_string_to_list
from monoceros.compat.validation import validate_user as validate_user

if TYPE_CHECKING:
    # The read-only one, which is what loggers, workers and hooks are given. ``BaseApplication.cfg``
    # has the type of those that can be changed.
    from monoceros.config import Config as Config
else:
    Config = _settings.EditableConfig

KNOWN_SETTINGS: list[type[Setting]] = list(_settings.make_classes())


def get_default_config_file() -> str | None:
    """Return the configuration file that is read where none is named; None where it is missing."""
    path = Path.cwd() / "gunicorn.conf.py"
    return str(path) if path.exists() else None


def __getattr__(name: str) -> Any:
    for setting in KNOWN_SETTINGS:
        if setting.__name__ == name:
            return setting
    raise AttributeError(f"Monoceros's module {__name__!r} has no attribute {name!r}")
