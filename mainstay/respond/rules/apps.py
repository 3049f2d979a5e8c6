from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "mainstay.respond.rules"
    label = "rules"

    def ready(self) -> None:
        from mainstay.foundation.processes.setaside import LOOKUPS
        from mainstay.observe.metrics.pages.forward_views import OWN
        from mainstay.respond.alerts.origins import ORIGINS
        from mainstay.respond.rules import facts, prometheus  # noqa: F401  # declares facts
        from mainstay.respond.rules.pages.alert_pages import ORIGIN
        from mainstay.respond.rules.pages.listing import known

        ORIGINS["rule"] = ORIGIN
        LOOKUPS["rule"] = known
        OWN["rules"], OWN["alerts"] = prometheus.rules, prometheus.alerts
