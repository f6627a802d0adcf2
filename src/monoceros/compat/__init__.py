"""What others know by the name of Gunicorn."""
