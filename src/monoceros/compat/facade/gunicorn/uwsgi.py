"""Not there: the uwsgi protocol is not in this version."""

WHY = "the uwsgi protocol is not in this version"
raise ModuleNotFoundError(f"Monoceros has no {__name__}: {WHY}", name=__name__)
