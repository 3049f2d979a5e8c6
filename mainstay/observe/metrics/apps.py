from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "mainstay.observe.metrics"
    label = "metrics"
