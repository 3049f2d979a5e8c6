"""Addresses of metrics: the Prometheus API; the explorer; targets."""

from django.urls import path

from mainstay.observe.metrics.pages import explore_views, scrape_views, signals_views, target_views
from mainstay.observe.metrics.pages.forward_views import liveness, prometheus

urlpatterns = [
    path("metrics/explore", explore_views.explore, name="explore"),
    path("applications/<slug:name>/signals", signals_views.signals, name="application_signals"),
    path("metrics/complete", explore_views.complete, name="explore_complete"),
    path("targets/", target_views.targets, name="targets"),
    path("targets/<slug:identity>/", target_views.target, name="target"),
    path("add/scrape/", scrape_views.SCRAPE.new, name="scrape_new"),
    path("scrapes/<slug:name>/", scrape_views.scrape, name="scrape"),
    path("scrapes/<slug:name>/edit/", scrape_views.SCRAPE.edit, name="scrape_edit"),
    path("scrapes/<slug:name>/pause/", scrape_views.pause, name="scrape_pause"),
    path("scrapes/<slug:name>/delete/", scrape_views.SCRAPE.delete, name="scrape_delete"),
    path("prometheus/api/v1/<path:path>", prometheus, name="prometheus"),
    path("prometheus/-/healthy", liveness, {"what": "healthy"}, name="prometheus_healthy"),
    path("prometheus/-/ready", liveness, {"what": "ready"}, name="prometheus_ready"),
]
