from django.apps import AppConfig


class ChecksConfig(AppConfig):
    name = "mainstay.observe.checks"
    label = "checks"

    def ready(self) -> None:
        from mainstay.observe.checks import facts  # noqa: F401  # declares the kinds of facts
