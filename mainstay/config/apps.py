from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "mainstay.config"
    label = "config"

    def ready(self) -> None:
        from mainstay.config import facts, pieces  # noqa: F401  # declares the kinds of facts; a source of notices
