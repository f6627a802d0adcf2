"""The parent process: listeners, children, signals, reload. Never imports ``http``."""
