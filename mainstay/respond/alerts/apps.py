from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "mainstay.respond.alerts"
    label = "alerts"

    def ready(self) -> None:
        from mainstay.respond.alerts import facts, listen, set_aside  # noqa: F401  # declares facts, hears of checks
