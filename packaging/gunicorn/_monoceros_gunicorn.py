"""Run by every interpreter of the environment at its start: ``gunicorn`` is Monoceros's facade.

Nothing may come of it where Monoceros was uninstalled, or is broken: who starts an interpreter may
have no use for it.
"""

try:
    from monoceros.compat.finder import install
except Exception:  # border: any other program would show a traceback at its start
    pass
else:
    install(first=False)
