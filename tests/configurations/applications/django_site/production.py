"""Settings in production."""

from .settings import *  # noqa: F403

PROFILE = "production"
