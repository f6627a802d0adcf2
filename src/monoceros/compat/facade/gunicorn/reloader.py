"""Not there: a process of its own watches files, see the setting reload."""

WHY = "a process of its own watches files, see the setting reload"
raise ModuleNotFoundError(f"Monoceros has no {__name__}: {WHY}", name=__name__)
