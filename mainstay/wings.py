"""The one list of wings, the lowest first. Whoever composes them loops over it; a new wing is one line here."""

from mainstay.config.wing import WING as CONFIG
from mainstay.desk.wing import WING as DESK
from mainstay.foundation.accounts.wing import WING as ACCOUNTS
from mainstay.foundation.catalog.wing import WING as CATALOG
from mainstay.foundation.journal.wing import WING as JOURNAL
from mainstay.foundation.wing import Wing
from mainstay.observe.checks.wing import WING as CHECKS
from mainstay.observe.metrics.wing import WING as METRICS
from mainstay.respond.alerts.wing import WING as ALERTS
from mainstay.respond.delivery.wing import WING as DELIVERY
from mainstay.respond.rules.wing import WING as RULES

WINGS: tuple[Wing, ...] = (
    ACCOUNTS, JOURNAL, CATALOG, CHECKS, METRICS, DELIVERY, ALERTS, RULES, CONFIG, DESK,
)  # fmt: skip
