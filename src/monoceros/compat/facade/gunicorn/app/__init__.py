"""Applications that host the server."""
