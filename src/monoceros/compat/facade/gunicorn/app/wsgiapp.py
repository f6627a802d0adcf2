"""The command, for programs that run it themselves."""

# Whoever waits for this module wants to get hold of how the application is loaded.
import gunicorn.app.base  # noqa: F401
from monoceros.compat.application import WSGIApplication as WSGIApplication


def run(prog: str | None = None) -> None:
    """Run the command with the arguments of this process, and exit."""
    WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]", prog=prog).run()


if __name__ == "__main__":
    run()
