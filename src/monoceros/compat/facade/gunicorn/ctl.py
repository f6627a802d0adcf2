"""Not there: there is no control socket in this version."""

WHY = "there is no control socket in this version"
raise ModuleNotFoundError(f"Monoceros has no {__name__}: {WHY}", name=__name__)
