from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "mainstay.respond.rules"
    label = "rules"

    def ready(self) -> None:
        from mainstay.respond.alerts.origins import ORIGINS
        from mainstay.respond.rules import facts  # noqa: F401  # declares facts
        from mainstay.respond.rules.alert_pages import ORIGIN

        ORIGINS["rule"] = ORIGIN
