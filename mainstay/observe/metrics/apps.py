from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "mainstay.observe.metrics"
    label = "metrics"

    def ready(self) -> None:
        from mainstay.foundation.processes.setaside import LOOKUPS
        from mainstay.observe.metrics import planned

        LOOKUPS["scrape"] = planned.known
