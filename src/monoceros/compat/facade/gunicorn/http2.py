"""Not there: HTTP/2 is not in this version."""

WHY = "HTTP/2 is not in this version"
raise ModuleNotFoundError(f"Monoceros has no {__name__}: {WHY}", name=__name__)
