from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "mainstay.respond.alerts"
    label = "alerts"

    def ready(self) -> None:
        from mainstay.respond.alerts import facts, listen  # noqa: F401  # declares facts, subscribes
        from mainstay.respond.alerts.origins import ORIGINS
        from mainstay.respond.alerts.pages.check_alerts import ORIGIN
        from mainstay.respond.alerts.sources import checks, set_aside  # noqa: F401  # subscribe

        ORIGINS["check"] = ORIGIN
