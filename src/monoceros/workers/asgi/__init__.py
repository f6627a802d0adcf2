"""What an ASGI worker is made of."""
