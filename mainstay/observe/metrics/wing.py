"""Metrics: scrapes and their targets, the explorer."""

from mainstay.foundation.wing import Action, Kept, Part, Place, SubjectPage, Wing

WING = Wing(
    app="mainstay.observe.metrics",
    urls="mainstay.observe.metrics.pages.urls",
    routers=("mainstay.observe.metrics.api.router",),
    places=(
        Place("Metrics", "explore", "Observe", 20, "metrics", "m", "promql query prometheus explorer graph"),
        Place("Targets", "targets", "Observe", 30, "targets", "t", "scrapes scraping prometheus exporters jobs"),
    ),
    actions=(Action("Add scrape", "scrape_new", "new target prometheus exporter metrics"),),
    parts=(Part("application", "below", 10, "mainstay.observe.metrics.pages.parts.signals"),),
    subjects={"scrape": SubjectPage("scrape", by="name")},
    cycles={"monitor": "mainstay.observe.metrics.measuring.Measuring"},
    resources=("mainstay.observe.metrics.resource.SCRAPES",),
    slow=(r"/(prometheus|metrics|targets|scrapes)/", r"/applications/[^/]+/signals", r"/api/v1/(targets|scrapes)"),
    kept=(Kept("metrics", "mainstay.observe.metrics.backup.copy_metrics"),),
)
