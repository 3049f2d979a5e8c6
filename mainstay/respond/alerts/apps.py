from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "mainstay.respond.alerts"
    label = "alerts"

    def ready(self) -> None:
        from mainstay.respond.alerts import facts, listen, routes  # noqa: F401  # declares facts, subscribes
        from mainstay.respond.alerts.origins import ORIGINS
        from mainstay.respond.alerts.sources import checks, set_aside  # noqa: F401  # subscribe
        from mainstay.respond.delivery.receivers import NAMED_BY

        NAMED_BY.append(routes.naming)
        ORIGINS["check"] = checks.ORIGIN
