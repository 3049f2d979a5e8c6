"""Everything as a file: plan, apply, export."""

from mainstay.foundation.wing import Wing

WING = Wing(app="mainstay.config", routers=("mainstay.config.api.router",))
