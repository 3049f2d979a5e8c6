from django.apps import AppConfig


class ProcessesConfig(AppConfig):
    name = "mainstay.foundation.processes"
    label = "processes"

    def ready(self) -> None:
        from mainstay.foundation.processes import setaside  # noqa: F401  # declares facts, tells what is set aside
