from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "mainstay.respond.rules"
    label = "rules"

    def ready(self) -> None:
        from mainstay.respond.rules import facts  # noqa: F401  # declares facts
