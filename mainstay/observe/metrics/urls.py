"""Addresses of metrics: the Prometheus API; the explorer; targets."""

from django.urls import path

from mainstay.observe.metrics.forward_views import prometheus

urlpatterns = [
    path("prometheus/api/v1/<path:path>", prometheus, name="prometheus"),
]
