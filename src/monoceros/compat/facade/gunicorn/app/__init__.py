"""Gunicorn's applications."""
