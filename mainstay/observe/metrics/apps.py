from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "mainstay.observe.metrics"
    label = "metrics"

    def ready(self) -> None:
        from mainstay.foundation.processes.setaside import LOOKUPS
        from mainstay.observe.metrics import facts, listen, planned  # noqa: F401  # declares facts, subscribes to the catalog

        LOOKUPS["scrape"] = planned.known
