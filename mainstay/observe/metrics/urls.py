"""Addresses of metrics: the Prometheus API; the explorer; targets."""

from django.urls import path

from mainstay.observe.metrics import explore_views
from mainstay.observe.metrics.forward_views import prometheus

urlpatterns = [
    path("metrics/explore", explore_views.explore, name="explore"),
    path("metrics/complete", explore_views.complete, name="explore_complete"),
    path("prometheus/api/v1/<path:path>", prometheus, name="prometheus"),
]
