"""Everything as a file: plan, apply, export."""

from mainstay.foundation.accounts.permissions import CONFIG_APPLY
from mainstay.foundation.wing import Command, Wing

WING = Wing(
    app="mainstay.config",
    routers=("mainstay.config.api.router",),
    permissions=(CONFIG_APPLY,),
    cycles={"worker": "mainstay.config.cycles.worker"},
    commands={
        "plan": Command("mainstay.config.commands.plan", "show what a configuration file would change"),
        "apply": Command("mainstay.config.commands.apply", "make the configuration what a file says"),
        "export": Command("mainstay.config.commands.export", "print the configuration as a file"),
    },
)
