"""Not there: requests are read and answered in another way."""

WHY = "requests are read and answered in another way"
raise ModuleNotFoundError(f"Monoceros has no {__name__}: {WHY}", name=__name__)
