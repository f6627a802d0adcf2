"""A Flask application with a factory."""

from __future__ import annotations

from flask import Flask, current_app, url_for


def create_app(config: str = "production") -> Flask:
    """Return the application, configured by name."""
    app = Flask(__name__)
    app.config["PROFILE"] = config
    app.add_url_rule("/", "index", index)
    app.add_url_rule("/profile", "profile", profile)
    app.add_url_rule("/link", "link", link)
    return app


def index() -> str:
    """Say hello."""
    return "hello from flask"


def profile() -> str:
    """Tell the configuration's name."""
    return str(current_app.config["PROFILE"])


def link() -> str:
    """Tell the URL as clients see it."""
    return url_for("index", _external=True)


app = create_app()
