from django.apps import AppConfig


class ProcessesConfig(AppConfig):
    name = "mainstay.foundation.processes"
    label = "processes"

    def ready(self) -> None:
        """Declare the kinds of facts, for whoever reads the journal."""
        from mainstay.foundation.processes import clocks  # noqa: F401
