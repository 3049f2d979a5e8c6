from django.apps import AppConfig


class RulesConfig(AppConfig):
    name = "mainstay.respond.rules"
    label = "rules"

    def ready(self) -> None:
        from mainstay.foundation.processes.setaside import LOOKUPS
        from mainstay.observe.metrics.own import OWN
        from mainstay.respond.alerts.origins import ORIGINS, Origin
        from mainstay.respond.rules import facts, prometheus, standing  # noqa: F401  # declares facts

        ORIGINS["rule"] = Origin(word="rule", shown="mainstay.respond.rules.pages.alert_pages.SHOWN")
        LOOKUPS["rule"] = standing.known
        OWN["rules"], OWN["alerts"] = prometheus.rules, prometheus.alerts
