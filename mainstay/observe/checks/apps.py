from django.apps import AppConfig


class ChecksConfig(AppConfig):
    name = "mainstay.observe.checks"
    label = "checks"

    def ready(self) -> None:
        from mainstay.observe.checks import facts, listen  # noqa: F401  # declares facts, hears of the catalog
