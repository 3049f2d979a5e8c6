from django.apps import AppConfig


class ProcessesConfig(AppConfig):
    name = "mainstay.foundation.processes"
    label = "processes"

    def ready(self) -> None:
        from mainstay.foundation.processes import clocks, setaside  # noqa: F401  # declare facts, tell what is set aside
