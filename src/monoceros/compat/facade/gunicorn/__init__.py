"""Gunicorn's names, as others import them."""
