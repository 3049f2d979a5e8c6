"""The one list of wings, the lowest first. Whoever composes them loops over it; a new wing is one line here."""

from importlib import import_module

from mainstay.foundation.wing import Wing

WINGS: tuple[Wing, ...] = tuple(
    import_module(f"{name}.wing").WING
    for name in (
        "mainstay.foundation.accounts",
        "mainstay.foundation.journal",
        "mainstay.foundation.catalog",
        "mainstay.observe.checks",
        "mainstay.observe.metrics",
        "mainstay.respond.delivery",
        "mainstay.respond.alerts",
        "mainstay.respond.rules",
        "mainstay.config",
        "mainstay.desk",
    )
)
