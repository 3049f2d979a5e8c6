"""Everything as a file: plan, apply, export."""

from mainstay.foundation.accounts.permissions import CONFIG_APPLY
from mainstay.foundation.wing import Wing

WING = Wing(
    app="mainstay.config",
    routers=("mainstay.config.api.router",),
    permissions=(CONFIG_APPLY,),
    cycles={"worker": "mainstay.config.cycles.worker"},
)
