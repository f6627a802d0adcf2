"""Sockets: listeners, trusted peers, the wake-up descriptor of signals."""
